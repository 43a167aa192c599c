/**
 * Carries notifications to their receivers: traps once, informs until they are acknowledged or given up.
 * Nothing ever waits for it: a queue that is full drops its oldest. One queue for each receiver, so
 * that one that is down costs the others nothing. Each has one notification under way at a time: datagrams keep no
 * order, and "down" behind "up" is a wrong alarm.
 */
import snmp from "net-snmp";
import { type AgentUser, libraryUser, varbind } from "../agent.ts";
import type { SnmpReceiver } from "../settings.ts";
import type { Notification } from "./notification.ts";

/** A whole pool of a thousand servers may go down at once. */
export const QUEUE_LIMIT = 2_048;
/** What nobody has acknowledged for so long is given up: a receiver's host may be started anew meanwhile. */
export const LIFETIME_MS = 3_600_000;
const FIRST_TIMEOUT_MS = 1_000;
const LONGEST_TIMEOUT_MS = 16_000;

export interface NotifierOptions {
	readonly receivers: readonly SnmpReceiver[];
	/** Of whom the receivers of version v3 speak. */
	readonly users: readonly AgentUser[];
	readonly engineId: Uint8Array;
	readonly engineBoots: number;
	/** snmpEngineTime: seconds since the engine's start. */
	readonly engineSeconds: () => number;
	/** The box's own address towards this receiver; null leaves it to the kernel. */
	readonly sourceFor: (receiver: string) => string | null;
	readonly onTrouble: (receiver: string, words: string) => void;
	/** After a trouble: something arrived. `lost`: how many never will. */
	readonly onReachedAgain: (receiver: string, lost: number) => void;
	/** Nothing is on its way to anybody any more. */
	readonly onIdle?: () => void;
	/** `LIFETIME_MS` unless a test is in a hurry. */
	readonly lifetimeMs?: number;
}

/** What the library's own types leave out. */
interface LibrarySession {
	inform(
		oid: string,
		varbinds: object[],
		options: { upTime: number },
		done: (error: Error | null) => void,
	): void;
	trap(
		oid: string,
		varbinds: object[],
		options: { upTime: number },
		done: (error: Error | null) => void,
	): void;
	send(request: LibraryRequest, noWait?: boolean): unknown;
	readonly dgram: { on(event: "error", handle: (error: Error) => void): void };
	on(event: string, handle: (error: Error) => void): void;
	close(): void;
}
interface LibraryRequest {
	readonly message: {
		readonly msgSecurityParameters?: {
			msgAuthoritativeEngineBoots: number;
			msgAuthoritativeEngineTime: number;
		};
	};
}

export class Notifier {
	readonly #queues: readonly ReceiverQueue[];

	constructor(options: NotifierOptions) {
		const onIdle = () => {
			if (this.isIdle) options.onIdle?.();
		};
		this.#queues = options.receivers.map((receiver) => new ReceiverQueue(receiver, { ...options, onIdle }));
	}

	send(notification: Notification): void {
		for (const queue of this.#queues) queue.add(notification);
	}

	/** Dropped from full queues, or given up without an answer. */
	get lost(): number {
		return this.#queues.reduce((sum, queue) => sum + queue.lost, 0);
	}

	get isIdle(): boolean {
		return this.#queues.every((queue) => queue.isIdle);
	}

	close(): void {
		for (const queue of this.#queues) queue.close();
	}
}

type Trouble = "not reached" | "full" | "given up";

interface Waiting {
	readonly notification: Notification;
	/** performance.now() when it was to be sent. */
	readonly sinceMs: number;
}

class ReceiverQueue {
	readonly #receiver: SnmpReceiver;
	readonly #options: NotifierOptions;
	readonly #waiting: Waiting[] = [];
	#isWorking = false;
	#closed = false;
	/** Each trouble is told once, until something arrives again. */
	readonly #told = new Set<Trouble>();
	#lostInTrouble = 0;
	lost = 0;

	constructor(receiver: SnmpReceiver, options: NotifierOptions) {
		this.#receiver = receiver;
		this.#options = options;
	}

	get isIdle(): boolean {
		return !this.#isWorking && this.#waiting.length === 0;
	}

	add(notification: Notification): void {
		this.#waiting.push({ notification, sinceMs: performance.now() });
		if (this.#waiting.length > QUEUE_LIMIT) {
			this.#waiting.shift();
			this.#lose("full", `more than ${QUEUE_LIMIT} notifications wait; the oldest are dropped`);
		}
		if (!this.#isWorking) void this.#work();
	}

	close(): void {
		this.#closed = true;
		this.#waiting.length = 0;
	}

	async #work(): Promise<void> {
		this.#isWorking = true;
		for (let first = this.#waiting.shift(); first !== undefined; first = this.#waiting.shift())
			await this.#deliver(first);
		this.#isWorking = false;
		if (!this.#closed) this.#options.onIdle?.();
	}

	async #deliver({ notification, sinceMs }: Waiting): Promise<void> {
		const lifetimeMs = this.#options.lifetimeMs ?? LIFETIME_MS;
		let timeoutMs = FIRST_TIMEOUT_MS;
		while (!this.#closed) {
			const error = await this.#attempt(notification, timeoutMs);
			if (error === null) {
				this.#reached();
				return;
			}
			if (this.#closed) return;
			this.#trouble("not reached", error);
			const tooOldMs = performance.now() - lifetimeMs;
			if (sinceMs <= tooOldMs) {
				this.#giveUp(tooOldMs);
				return;
			}
			timeoutMs = Math.min(timeoutMs * 2, LONGEST_TIMEOUT_MS);
		}
	}

	/** The one under way, and with it all that have waited too long: none gets a vain attempt of its own. */
	#giveUp(tooOldMs: number): void {
		const young = this.#waiting.findIndex(({ sinceMs }) => sinceMs > tooOldMs);
		const old = this.#waiting.splice(0, young < 0 ? this.#waiting.length : young).length;
		const minutes = Math.round((this.#options.lifetimeMs ?? LIFETIME_MS) / 60_000);
		this.#lose("given up", `not acknowledged for ${minutes} minutes; what is older is given up`, 1 + old);
	}

	#reached(): void {
		if (this.#told.size > 0) this.#options.onReachedAgain(this.#receiver.address, this.#lostInTrouble);
		this.#told.clear();
		this.#lostInTrouble = 0;
	}

	#lose(trouble: Trouble, words: string, count = 1): void {
		this.lost += count;
		this.#lostInTrouble += count;
		this.#trouble(trouble, words);
	}

	/**
	 * Resolves with null when it is sent (a trap) or acknowledged (an inform), else with what went wrong.
	 * Each attempt has a socket and a session of its own: the receiver's engine may have been started anew,
	 * the source address may have come back, and what goes wrong with one attempt is no other's business.
	 */
	#attempt(notification: Notification, timeoutMs: number): Promise<string | null> {
		return new Promise((resolve) => {
			let settled = false;
			const settle = (words: string | null, delayMs = 0) => {
				if (settled) return;
				settled = true;
				clearTimeout(timer);
				session?.close();
				// What fails at once is not tried again at once.
				setTimeout(() => resolve(words), delayMs);
			};
			const fail = (error: Error) => settle(error.message, timeoutMs);
			const timer = setTimeout(() => settle(`no answer within ${timeoutMs} ms`), timeoutMs);
			let session: LibrarySession | null = null;
			try {
				session = this.#open();
			} catch (error) {
				// Such as an address that is none: this receiver's trouble, and nobody else's.
				fail(error instanceof Error ? error : new Error(String(error)));
				return;
			}
			session.dgram.on("error", fail);
			// An answer that cannot be read is no answer.
			session.on("error", () => {});
			const { oid, varbinds, upMs } = notification;
			const upTime = { upTime: Math.max(1, Math.floor(upMs / 10) % 2 ** 32) };
			const send = this.#receiver.kind === "inform" ? session.inform : session.trap;
			send.call(session, oid.join("."), varbinds.map(varbind), upTime, (error) =>
				error === null ? settle(null) : fail(error),
			);
		});
	}

	#open(): LibrarySession {
		const { address, port } = this.#receiver;
		const { engineId, users, sourceFor } = this.#options;
		const source = sourceFor(address);
		const options = {
			trapPort: port,
			transport: address.includes(":") ? "udp6" : "udp4",
			retries: 0,
			timeout: LONGEST_TIMEOUT_MS,
			engineID: Buffer.from(engineId).toString("hex"),
			...(source === null ? {} : { sourceAddress: source }),
		};
		const receiver = this.#receiver;
		const library = snmp as unknown as {
			createSession(target: string, community: string, options: object): LibrarySession;
			createV3Session(target: string, user: object, options: object): LibrarySession;
		};
		let session: LibrarySession;
		if (receiver.version === "v2c")
			session = library.createSession(address, receiver.community, { ...options, version: snmp.Version2c });
		else {
			const user = users.find(({ name }) => name === receiver.user);
			if (user === undefined) throw new Error(`there is no SNMP user "${receiver.user}"`);
			session = library.createV3Session(address, libraryUser(user), { ...options, version: snmp.Version3 });
			if (receiver.kind === "trap") this.#timeTraps(session);
		}
		return session;
	}

	/** For a trap this engine is the authority (RFC 3414 §3.1 step 6): its boots and time; the library says 0. */
	#timeTraps(session: LibrarySession): void {
		const send = session.send;
		session.send = (request, noWait) => {
			const parameters = request.message.msgSecurityParameters;
			if (parameters !== undefined) {
				parameters.msgAuthoritativeEngineBoots = this.#options.engineBoots;
				parameters.msgAuthoritativeEngineTime = this.#options.engineSeconds();
			}
			return send.call(session, request, noWait);
		};
	}

	#trouble(trouble: Trouble, words: string): void {
		if (!this.#told.has(trouble)) this.#options.onTrouble(this.#receiver.address, words);
		this.#told.add(trouble);
	}
}
