/**
 * What a person types on a terminal of any kind, byte by byte, into lines. Pure.
 * CR, LF and CRLF end a line; BS and DEL both erase; ^U and ^W too; ^C gives up the line;
 * ^L asks for the screen again; ^D on an empty line is the end. Escape sequences (arrow keys) are swallowed.
 */

/** A longer line is cut: nothing that is typed here is longer. */
export const LINE_LIMIT = 512;

export type EditorEvent =
	| { readonly kind: "line"; readonly text: string }
	| { readonly kind: "interrupt" }
	| { readonly kind: "redraw" }
	| { readonly kind: "end" };

export interface Edit {
	/** What the terminal is to be sent. */
	readonly echo: string;
	readonly events: readonly EditorEvent[];
}

const ERASE = "\b \b";
type Escape = "none" | "escape" | "sequence";

export class LineEditor {
	#text = "";
	#afterCarriageReturn = false;
	#escape: Escape = "none";

	/** A password is being typed: nothing of it is echoed, and its spaces are kept. */
	hidden = false;

	/** What has been typed so far, to be shown again after a redraw. */
	get text(): string {
		return this.hidden ? "" : this.#text;
	}

	/** Forgets what has been typed so far. */
	giveUp(): void {
		this.#text = "";
	}

	push(bytes: Uint8Array): Edit {
		const { echo, events } = this.#push(bytes);
		// The ends of lines are shown all the same.
		return { echo: this.hidden ? echo.replace(/[^\r\n]/g, "") : echo, events };
	}

	#push(bytes: Uint8Array): Edit {
		let echo = "";
		const events: EditorEvent[] = [];
		for (const byte of bytes) {
			const lineFeedOfPair = byte === 0x0a && this.#afterCarriageReturn;
			this.#afterCarriageReturn = byte === 0x0d;
			if (lineFeedOfPair || this.#swallowsEscape(byte)) continue;
			switch (byte) {
				case 0x0d:
				case 0x0a:
					echo += "\r\n";
					events.push({ kind: "line", text: this.hidden ? this.#take() : this.#take().trim() });
					break;
				case 0x08:
				case 0x7f:
					if (this.#text !== "") echo += ERASE;
					this.#text = this.#text.slice(0, -1);
					break;
				case 0x15:
					echo += ERASE.repeat(this.#take().length);
					break;
				case 0x17: {
					const kept = this.#text.replace(/\S*\s*$/, "");
					echo += ERASE.repeat(this.#text.length - kept.length);
					this.#text = kept;
					break;
				}
				case 0x03:
					this.#take();
					echo += "^C\r\n";
					events.push({ kind: "interrupt" });
					break;
				case 0x0c:
					echo += "\r\n";
					events.push({ kind: "redraw" });
					break;
				case 0x04:
					if (this.#text === "") events.push({ kind: "end" });
					break;
				default:
					if (byte >= 0x20 && byte < 0x7f && this.#text.length < LINE_LIMIT) {
						const character = String.fromCharCode(byte);
						this.#text += character;
						echo += character;
					}
			}
		}
		return { echo, events };
	}

	#take(): string {
		const text = this.#text;
		this.#text = "";
		return text;
	}

	/** ESC x, or ESC [ and SS3 up to their final byte (ECMA-48 §5.4). */
	#swallowsEscape(byte: number): boolean {
		switch (this.#escape) {
			case "none":
				if (byte !== 0x1b) return false;
				this.#escape = "escape";
				return true;
			case "escape":
				this.#escape = byte === 0x5b || byte === 0x4f ? "sequence" : "none";
				// A control character after a lone ESC keeps its meaning.
				return byte >= 0x20;
			case "sequence":
				if (byte < 0x20) {
					this.#escape = "none";
					return false;
				}
				if (byte >= 0x40 && byte < 0x7f) this.#escape = "none";
				return true;
		}
	}
}
