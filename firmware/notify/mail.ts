/**
 * Alert mails over plain SMTP (RFC 5321): one session per mail, several at once, no retry, as keepalived sends them.
 * What is beyond that waits in a short queue of its own; nothing else ever waits for mails.
 */
import type { MailSettings } from "../config/model.ts";
import { letterText, type Mail } from "./letter.ts";

/** Mails that may wait for a slow server; beyond that the oldest is dropped, and the log says how many. */
const QUEUE_LIMIT = 1_000;
/** Sessions with the server: a slow one does not hold up the letters that follow. */
const SESSIONS_AT_ONCE = 16;
/** An SMTP reply is longer only when something is wrong (RFC 5321 §4.5.3.1.5). */
const REPLY_LIMIT_BYTES = 16 * 1024;

/** "Name <user@host>" gives "user@host". */
export function envelopeAddress(text: string): string {
	return (/<([^<>\s]+)>/.exec(text)?.[1] ?? text).replace(/[\s<>]/g, "");
}

export class Mailer {
	#settings: MailSettings;
	readonly #onError: (text: string) => void;
	readonly #queue: Mail[] = [];
	readonly #sessions = new Set<Promise<void>>();
	/** Of the letters that wait, more came than the queue holds. */
	#dropped = 0;

	constructor(settings: MailSettings, onError: (text: string) => void) {
		this.#settings = settings;
		this.#onError = onError;
	}

	configure(settings: MailSettings): void {
		this.#settings = settings;
	}

	/** Without recipients or server nothing is sent, silently, as keepalived has it. */
	send(mail: Mail): void {
		if (this.#settings.server === null || this.#settings.recipients.length === 0) return;
		if (this.#queue.push(mail) > QUEUE_LIMIT) {
			this.#queue.shift();
			if (this.#dropped++ === 0) this.#onError(`more than ${QUEUE_LIMIT} mails wait: the oldest are dropped`);
		}
		if (this.#sessions.size >= SESSIONS_AT_ONCE) return;
		const session = this.#drain();
		this.#sessions.add(session);
		session.finally(() => this.#sessions.delete(session));
	}

	/** Letters that wait or are on their way. */
	get unsent(): number {
		return this.#queue.length + this.#sessions.size;
	}

	/** Resolves when every letter has gone its way. */
	async settle(): Promise<void> {
		while (this.#sessions.size > 0) await Promise.all(this.#sessions);
	}

	async #drain(): Promise<void> {
		for (let mail = this.#queue.shift(); mail !== undefined; mail = this.#queue.shift()) {
			const { server } = this.#settings;
			if (server === null) continue;
			const by = `${server.host} port ${server.port}`;
			try {
				for (const { recipient, reply } of await deliver(this.#settings, mail))
					this.#onError(`mail "${mail.subject}": ${by} refuses ${recipient}: ${reply}`);
			} catch (error) {
				this.#onError(
					`mail "${mail.subject}" was not sent by ${by}: ${error instanceof Error ? error.message : error}`,
				);
			}
		}
		if (this.#dropped === 0) return;
		this.#onError(`${this.#dropped} mails were dropped, since more than ${QUEUE_LIMIT} waited`);
		this.#dropped = 0;
	}
}

/** A recipient whom the server does not take, and what it said. */
export interface Refusal {
	readonly recipient: string;
	readonly reply: string;
}

/**
 * One session. Resolves to the recipients that were refused while others were not; rejects with the server's words when it
 * refuses the letter. Replies count by their first digit (RFC 5321 §4.2.1). A server that is reached is always said goodbye to.
 */
export async function deliver(settings: MailSettings, mail: Mail): Promise<readonly Refusal[]> {
	const { server } = settings;
	if (server === null) return [];
	const { promise, resolve, reject } = Promise.withResolvers<readonly Refusal[]>();
	const steps: readonly { readonly expect: string; readonly say: string; readonly answers?: string }[] = [
		{ expect: "2", say: `HELO ${settings.heloName}\r\n` },
		{ expect: "2", say: `MAIL FROM:<${envelopeAddress(settings.sender)}>\r\n` },
		...settings.recipients.map((recipient, index) => ({
			expect: "2",
			say: `RCPT TO:<${envelopeAddress(recipient)}>\r\n`,
			// What comes then is the answer to the recipient before this one.
			...(index === 0 ? {} : { answers: settings.recipients[index - 1]! }),
		})),
		{ expect: "2", say: "DATA\r\n", answers: settings.recipients.at(-1)! },
		{ expect: "3", say: `${letterText(settings, mail, new Date())}\r\n.\r\n` },
		{ expect: "2", say: "QUIT\r\n" },
	];
	let step = 0;
	let pending = "";
	let timer: ReturnType<typeof setTimeout> | null = null;
	let open: Bun.Socket<undefined> | null = null;
	let finished = false;
	const refusals: Refusal[] = [];
	const finish = (error: Error | null) => {
		if (finished) return;
		finished = true;
		if (timer !== null) clearTimeout(timer);
		// RFC 5321 §4.1.1.10: after a refusal, too. On success it has been said.
		open?.end(error === null ? "" : "QUIT\r\n");
		if (error === null) resolve(refusals);
		else reject(error);
	};
	const wait = () => {
		if (timer !== null) clearTimeout(timer);
		const { connectTimeoutMs } = settings;
		timer = setTimeout(() => finish(new Error(`no answer within ${connectTimeoutMs} ms`)), connectTimeoutMs);
	};
	/** One whole reply. */
	const hear = (reply: string) => {
		const { expect, say, answers } = steps[step]!;
		if (!reply.startsWith(expect)) {
			if (answers === undefined || reply.startsWith("421")) return finish(new Error(reply));
			refusals.push({ recipient: answers, reply });
			if (refusals.length === settings.recipients.length) return finish(new Error(reply));
		}
		open?.write(say);
		step++;
		if (step === steps.length) finish(null);
		else wait();
	};
	wait();
	Bun.connect({
		hostname: server.host,
		port: server.port,
		socket: {
			open(socket) {
				open = socket;
				if (finished) return void socket.end("QUIT\r\n");
				wait();
			},
			data(_socket, chunk) {
				pending += chunk.toString("latin1");
				if (pending.length > REPLY_LIMIT_BYTES) return finish(new Error("an endless reply"));
				for (let end = pending.indexOf("\n"); end >= 0 && !finished; end = pending.indexOf("\n")) {
					const line = pending.slice(0, end).trimEnd();
					pending = pending.slice(end + 1);
					if (line[3] !== "-") hear(line);
				}
			},
			close() {
				finish(new Error("the server closed the connection"));
			},
			error(_socket, error) {
				finish(error);
			},
			connectError(_socket, error) {
				finish(error);
			},
		},
	}).catch((error) => finish(error instanceof Error ? error : new Error(String(error))));
	return promise;
}
