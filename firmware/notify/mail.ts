/**
 * Alert mails over plain SMTP (RFC 5321): one session per mail, several at once, no retry, as keepalived sends them.
 * What is beyond that waits in a short queue of its own; nothing else ever waits for mails.
 */
import type { MailSettings } from "../config/model.ts";

export interface Mail {
	/** Without the router id, which is put before it in brackets. */
	readonly subject: string;
	readonly body: string;
}

/** Mails that may wait for a slow server; the oldest is dropped beyond that. */
const QUEUE_LIMIT = 1_000;
/** Sessions with the server: a slow one does not hold up the letters that follow. */
const SESSIONS_AT_ONCE = 16;
/** An SMTP reply is longer only when something is wrong (RFC 5321 §4.5.3.1.5). */
const REPLY_LIMIT_BYTES = 16 * 1024;

/** The message as it goes after DATA, dot-stuffed (RFC 5321 §4.5.2), without the closing dot. */
export function messageText(settings: MailSettings, mail: Mail, date: Date): string {
	const oneLine = (text: string) => text.replace(/[\r\n]+/g, " ");
	const lines = [
		`Date: ${date.toUTCString().replace("GMT", "+0000")}`,
		`From: ${oneLine(settings.sender)}`,
		`Subject: ${oneLine(`[${settings.routerId}] ${mail.subject}`)}`,
		"X-Mailer: Keepalived",
		`To: ${settings.recipients.map(oneLine).join(", ")}`,
		"",
		...mail.body.split(/\r?\n/),
		"",
	];
	return lines.map((line) => (line.startsWith(".") ? `.${line}` : line)).join("\r\n");
}

/** "Name <user@host>" gives "user@host". */
export function envelopeAddress(text: string): string {
	return (/<([^<>\s]+)>/.exec(text)?.[1] ?? text).replace(/[\s<>]/g, "");
}

export class Mailer {
	#settings: MailSettings;
	readonly #onError: (text: string) => void;
	readonly #queue: Mail[] = [];
	#sessions = 0;

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
		if (this.#queue.push(mail) > QUEUE_LIMIT) this.#queue.shift();
		if (this.#sessions < SESSIONS_AT_ONCE) void this.#drain();
	}

	async #drain(): Promise<void> {
		this.#sessions++;
		for (let mail = this.#queue.shift(); mail !== undefined; mail = this.#queue.shift())
			try {
				await deliver(this.#settings, mail);
			} catch (error) {
				this.#onError(`mail "${mail.subject}": ${error instanceof Error ? error.message : error}`);
			}
		this.#sessions--;
	}
}

/** One session. Rejects with the server's words when it refuses; a server that is reached is always said goodbye to. */
export async function deliver(settings: MailSettings, mail: Mail): Promise<void> {
	const { server } = settings;
	if (server === null) return;
	const { promise, resolve, reject } = Promise.withResolvers<void>();
	const steps: readonly { readonly expect: string; readonly say: string }[] = [
		{ expect: "220", say: `HELO ${settings.heloName}\r\n` },
		{
			expect: "250",
			say: `MAIL FROM:<${envelopeAddress(settings.sender)}>\r\n`,
		},
		...settings.recipients.map((recipient) => ({
			expect: "250",
			say: `RCPT TO:<${envelopeAddress(recipient)}>\r\n`,
		})),
		{ expect: "250", say: "DATA\r\n" },
		{ expect: "354", say: `${messageText(settings, mail, new Date())}\r\n.\r\n` },
		{ expect: "250", say: "QUIT\r\n" },
	];
	let step = 0;
	let pending = "";
	let timer: ReturnType<typeof setTimeout> | null = null;
	let open: Bun.Socket<undefined> | null = null;
	let finished = false;
	const finish = (error: Error | null) => {
		if (finished) return;
		finished = true;
		if (timer !== null) clearTimeout(timer);
		// RFC 5321 §4.1.1.10: after a refusal, too. On success it has been said.
		if (error === null) open?.end();
		else open?.end("QUIT\r\n");
		if (error === null) resolve();
		else reject(error);
	};
	const wait = () => {
		if (timer !== null) clearTimeout(timer);
		const { connectTimeoutMs } = settings;
		timer = setTimeout(() => finish(new Error(`no answer within ${connectTimeoutMs} ms`)), connectTimeoutMs);
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
			data(socket, chunk) {
				pending += chunk.toString("latin1");
				if (pending.length > REPLY_LIMIT_BYTES) return finish(new Error("an endless reply"));
				for (let end = pending.indexOf("\n"); end >= 0; end = pending.indexOf("\n")) {
					const line = pending.slice(0, end).trimEnd();
					pending = pending.slice(end + 1);
					if (line[3] === "-") continue;
					const now = steps[step];
					if (now === undefined) return finish(null);
					if (!line.startsWith(now.expect)) return finish(new Error(line));
					socket.write(now.say);
					step++;
					wait();
					if (step === steps.length) return finish(null);
				}
			},
			close() {
				finish(step === steps.length ? null : new Error("the server closed the connection"));
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
