/**
 * A letter as it goes after DATA (RFC 5322). What is ASCII in lines of common length goes as it is, as keepalived writes it; all
 * else is encoded (RFC 2047, RFC 2045): a session begun by HELO takes neither 8-bit text nor lines of over 998 bytes. Pure.
 */
import type { MailSettings } from "../config/model.ts";

export interface Mail {
	/** Without the router id, which is put before it in brackets. */
	readonly subject: string;
	readonly body: string;
}

/** RFC 5322 §2.1.1, without the line's end. */
const LINE_LIMIT_BYTES = 998;
/** Of one encoded word, so that it is within its 75 characters in base64 (RFC 2047 §2). */
const WORD_LIMIT_BYTES = 45;
/** RFC 2045 §6.8. */
const BASE64_LINE_CHARACTERS = 76;

/** The whole, dot-stuffed (RFC 5321 §4.5.2), without the closing dot. */
export function letterText(settings: MailSettings, mail: Mail, date: Date): string {
	const body = mail.body.split(/\r?\n/);
	const isPlain = body.every(goesPlain);
	const lines = [
		`Date: ${date.toUTCString().replace("GMT", "+0000")}`,
		`From: ${mailbox(settings.sender)}`,
		...unstructured("Subject", oneLine(`[${settings.routerId}] ${mail.subject}`)),
		"X-Mailer: Keepalived",
		...addressLines("To", settings.recipients.map(mailbox)),
		...(isPlain ? [] : encodedBodyFields),
		"",
		...(isPlain ? body : base64Lines(body.join("\r\n"))),
		"",
	];
	return lines.map((line) => (line.startsWith(".") ? `.${line}` : line)).join("\r\n");
}

const encodedBodyFields = [
	"MIME-Version: 1.0",
	"Content-Type: text/plain; charset=utf-8",
	"Content-Transfer-Encoding: base64",
];

const oneLine = (text: string) => text.replace(/[\r\n]+/g, " ");
const isAscii = (text: string) => /^[\x00-\x7f]*$/.test(text);
const goesPlain = (line: string) => isAscii(line) && line.length <= LINE_LIMIT_BYTES;

/** A field of free text; in encoded words, each on a line of its own, when it cannot go as it is. */
function unstructured(name: string, text: string): string[] {
	const plain = `${name}: ${text}`;
	if (goesPlain(plain)) return [plain];
	const [first = "", ...rest] = encodedWords(text);
	return [`${name}: ${first}`, ...rest.map((word) => ` ${word}`)];
}

/** "Name <user@host>" with the name encoded if need be. An address that is not ASCII itself stays. */
function mailbox(text: string): string {
	const plain = oneLine(text);
	const named = /^"?([^"<]*?)"?\s*(<[^<>]*>)\s*$/.exec(plain);
	if (named === null || isAscii(named[1]!)) return plain;
	return `${encodedWords(named[1]!).join("\r\n ")} ${named[2]}`;
}

/** Addresses behind each other; one a line where they are too many for one. */
function addressLines(name: string, addresses: readonly string[]): string[] {
	const plain = `${name}: ${addresses.join(", ")}`;
	return plain.length <= LINE_LIMIT_BYTES ? [plain] : `${name}: ${addresses.join(",\n ")}`.split("\n");
}

/** No character is cut in two (RFC 2047 §5). */
function encodedWords(text: string): string[] {
	const words: string[] = [];
	let word = "";
	for (const character of text) {
		if (word !== "" && Buffer.byteLength(word + character) > WORD_LIMIT_BYTES) {
			words.push(word);
			word = "";
		}
		word += character;
	}
	words.push(word);
	return words.map((each) => `=?utf-8?B?${Buffer.from(each).toString("base64")}?=`);
}

function base64Lines(text: string): string[] {
	const encoded = Buffer.from(text).toString("base64");
	return encoded.match(new RegExp(`.{1,${BASE64_LINE_CHARACTERS}}`, "g")) ?? [];
}
