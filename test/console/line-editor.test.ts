/** What a person types on any terminal, byte by byte. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { LINE_LIMIT, LineEditor } from "../../firmware/console/line-editor.ts";

function type(...chunks: readonly string[]) {
	const editor = new LineEditor();
	const edits = chunks.map((chunk) => editor.push(Buffer.from(chunk, "latin1")));
	return {
		events: edits.flatMap((edit) => edit.events),
		echo: edits.map((edit) => edit.echo).join(""),
		left: editor.text,
	};
}
const line = (text: string) => ({ kind: "line", text }) as const;

describe("lines", () => {
	test.each<[string, string[], readonly object[]]>([
		["CR ends a line", ["status\r"], [line("status")]],
		["LF ends a line", ["status\n"], [line("status")]],
		["CRLF ends one line", ["status\r\n"], [line("status")]],
		["CRLF ends one line, in two reads", ["status\r", "\n"], [line("status")]],
		["two CR end two", ["\r\r"], [line(""), line("")]],
		["LF CR ends two", ["\n\r"], [line(""), line("")]],
		["DEL erases", ["stx\x7fatus\r"], [line("status")]],
		["BS erases", ["stx\x08atus\r"], [line("status")]],
		["erasing nothing is harmless", ["\x08\x7fok\r"], [line("ok")]],
		["^U erases the line", ["rubbish\x15ok\r"], [line("ok")]],
		["^W erases a word", ["log wrong\x17vrrp\r"], [line("log vrrp")]],
		["^C gives up the line", ["reboot\x03\r"], [{ kind: "interrupt" }, line("")]],
		["^L asks for the screen and keeps the line", ["lo\x0cg\r"], [{ kind: "redraw" }, line("log")]],
		["^D on an empty line is the end", ["\x04"], [{ kind: "end" }]],
		["^D elsewhere is nothing", ["a\x04\r"], [line("a")]],
		["arrow keys are swallowed", ["a\x1b[A\x1b[1;5Cb\x1bOPc\r"], [line("abc")]],
		["a cut escape sequence goes on in the next read", ["a\x1b", "[", "Ab\r"], [line("ab")]],
		["^C after a lone ESC still works", ["a\x1b\x03"], [{ kind: "interrupt" }]],
		["bytes above ASCII are dropped", ["caf\xc3\xa9\r"], [line("caf")]],
	])("%s", (_title, chunks, expected) => {
		expect(type(...chunks).events).toEqual([...expected] as never);
	});

	test("what is shown is what is kept", () => {
		const { echo } = type("ab\x7fc\r");
		expect(echo).toBe("ab\b \bc\r\n");
	});

	test("a line has a bound", () => {
		const { events } = type("x".repeat(LINE_LIMIT * 3), "\r");
		expect(events).toEqual([line("x".repeat(LINE_LIMIT))]);
	});
});

describe("any bytes", () => {
	test("how the line was cut into reads does not matter", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
				const whole = new LineEditor().push(bytes);
				const editor = new LineEditor();
				const single = [...bytes].map((byte) => editor.push(Uint8Array.of(byte)));
				expect(single.flatMap((edit) => edit.events)).toEqual([...whole.events]);
				expect(single.map((edit) => edit.echo).join("")).toBe(whole.echo);
			}),
		);
	});

	test("nothing but printable characters, CR LF and erasures is echoed", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
				expect(new LineEditor().push(bytes).echo).toMatch(/^([\x20-\x7e]|\x08 \x08|\r\n)*$/);
			}),
		);
	});
});
