/**
 * The lines an SMTP server sends (RFC 5321 §4.2), collected to whole replies. Pure.
 * A reply of several lines ("220-first", "220 last") is one reply: keepalived takes it for a failure,
 * RFC 5321 §4.2.1 demands that it be read.
 */

/** RFC 5321 §4.5.3.1.5 allows 512 bytes a line; servers send longer ones. */
export const LINE_LIMIT_BYTES = 4 * 1024;
export const REPLY_LIMIT_LINES = 100;

export interface SmtpReply {
	readonly code: number;
	/** The text of the last line. */
	readonly text: string;
}

export class SmtpReplyError extends Error {}

export class SmtpReplyReader {
	#pending = "";
	#lines = 0;
	#code = -1;

	/** The replies that `chunk` completes. Throws an SmtpReplyError when it is no SMTP or over a limit. */
	push(chunk: Uint8Array): SmtpReply[] {
		this.#pending += Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString("latin1");
		const replies: SmtpReply[] = [];
		let start = 0;
		for (;;) {
			const newline = this.#pending.indexOf("\n", start);
			if (newline < 0) break;
			const line = this.#pending.slice(start, newline).replace(/\r$/, "");
			start = newline + 1;
			if (line.length > LINE_LIMIT_BYTES) throw new SmtpReplyError("a line is too long");
			const match = /^(\d{3})(?:([ -])(.*))?$/.exec(line);
			if (match === null)
				throw new SmtpReplyError(
					`no SMTP reply: ${JSON.stringify(line.slice(0, 60).replace(/[^\x20-\x7e]/g, "."))}`,
				);
			const code = Number(match[1]);
			if (this.#code >= 0 && code !== this.#code)
				throw new SmtpReplyError(`one reply with the codes ${this.#code} and ${code}`);
			if (match[2] === "-") {
				this.#code = code;
				if (++this.#lines > REPLY_LIMIT_LINES)
					throw new SmtpReplyError(`a reply has more than ${REPLY_LIMIT_LINES} lines`);
			} else {
				replies.push({ code, text: match[3] ?? "" });
				this.#code = -1;
				this.#lines = 0;
			}
		}
		this.#pending = this.#pending.slice(start);
		if (this.#pending.length > LINE_LIMIT_BYTES) throw new SmtpReplyError("a line is too long");
		return replies;
	}
}
