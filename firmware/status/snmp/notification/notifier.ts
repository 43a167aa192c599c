/**
 * Carries notifications to their receivers: traps once, informs until they are acknowledged or given up.
 * Nothing ever waits for it: a queue that is full drops its oldest. One queue for each receiver, so
 * that one that is down costs the others nothing.
 */
import snmp from "net-snmp";
import { type AgentUser, libraryUser, varbind } from "../agent.ts";
import type { SnmpReceiver } from "../settings.ts";
import type { Notification } from "./notification.ts";

/** A whole pool of a thousand servers may go down at once. */
export const QUEUE_LIMIT = 2_048;
/** Informs under way to one receiver. */
export const WINDOW = 32;
/** After so many attempts an inform is given up. */
export const ATTEMPTS_LIMIT = 6;
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
		this.#queues = options.receivers.map((receiver) => new ReceiverQueue(receiver, options));
	}

	send(notification: Notification): void {
		for (const queue of this.#queues) queue.add(notification);
	}

	/** Dropped from full queues, or given up without an answer. */
	get lost(): number {
		return this.#queues.reduce((sum, queue) => sum + queue.lost, 0);
	}

	/** Resolves when nothing is under way any more, or after `limitMs`. */
	async flush(limitMs: number): Promise<void> {
		const deadline = performance.now() + limitMs;
		while (this.#queues.some((queue) => !queue.isIdle) && performance.now() < deadline) await Bun.sleep(20);
	}

	close(): void {
		for (const queue of this.#queues) queue.close();
	}
}

type Trouble = "not reached" | "full";

class ReceiverQueue {
	readonly #receiver: SnmpReceiver;
	readonly #options: NotifierOptions;
	readonly #waiting: Notification[] = [];
	#underWay = 0;
	#closed = false;
	/** Each trouble is told once, until something arrives again. */
	readonly #told = new Set<Trouble>();
	lost = 0;

	constructor(receiver: SnmpReceiver, options: NotifierOptions) {
		this.#receiver = receiver;
		this.#options = options;
	}

	get isIdle(): boolean {
		return this.#underWay === 0 && this.#waiting.length === 0;
	}

	add(notification: Notification): void {
		this.#waiting.push(notification);
		if (this.#waiting.length > QUEUE_LIMIT) {
			this.#waiting.shift();
			this.lost++;
			this.#trouble("full", `more than ${QUEUE_LIMIT} notifications wait; the oldest are dropped`);
		}
		this.#next();
	}

	close(): void {
		this.#closed = true;
		this.#waiting.length = 0;
	}

	#next(): void {
		while (!this.#closed && this.#underWay < WINDOW) {
			const notification = this.#waiting.shift();
			if (notification === undefined) return;
			this.#underWay++;
			void this.#deliver(notification).finally(() => {
				this.#underWay--;
				this.#next();
			});
		}
	}

	async #deliver(notification: Notification): Promise<void> {
		let timeoutMs = FIRST_TIMEOUT_MS;
		for (let attempt = 1; attempt <= ATTEMPTS_LIMIT && !this.#closed; attempt++) {
			const error = await this.#attempt(notification, timeoutMs);
			if (error === null) {
				this.#told.clear();
				return;
			}
			this.#trouble("not reached", error);
			timeoutMs = Math.min(timeoutMs * 2, LONGEST_TIMEOUT_MS);
		}
		this.lost++;
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
