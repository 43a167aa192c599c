/**
 * Ways to make two parsers disagree about where a request ends (RFC 9112 §11.2). Each carries a second request for
 * SMUGGLED in what one reading calls the body and the other the next request.
 */

export const SMUGGLED = "/smuggled";
const hidden = `GET ${SMUGGLED} HTTP/1.1\r\nHost: victim\r\n\r\n`;
const chunkedHidden = `0\r\n\r\n${hidden}`;

const post = (headers: readonly string[], body: string) =>
	`POST /vector HTTP/1.1\r\nHost: a\r\n${headers.map((line) => `${line}\r\n`).join("")}\r\n${body}`;
/** The same with a Content-Length that covers the hidden request. */
const covered = (headers: readonly string[]) =>
	post([`Content-Length: ${chunkedHidden.length}`, ...headers], chunkedHidden);
/** A chunk that one parser takes to end at once, the other to hold the hidden request. */
const chunk = (sizeLine: string, rest: string) => post(["Transfer-Encoding: chunked"], `${sizeLine}${rest}`);

export type Refusal =
	/** Answered 400 before anything was passed on. */
	| "400"
	/** The head was good and the body is not: the connection breaks, whatever was answered. */
	| "broken";

export interface DesyncVector {
	readonly title: string;
	readonly wire: string;
	readonly refusal: Refusal;
}

const heads: readonly (readonly [title: string, wire: string])[] = [
	["CL.TE", covered(["Transfer-Encoding: chunked"])],
	["TE.CL", post(["Transfer-Encoding: chunked", "Content-Length: 4"], `5c\r\n${hidden}\r\n0\r\n\r\n`)],
	["CL.0 with TE", post(["Content-Length: 0", "Transfer-Encoding: chunked"], chunkedHidden)],
	["CL.CL, unequal", post(["Content-Length: 0", `Content-Length: ${hidden.length}`], hidden)],
	["CL.CL, equal", post([`Content-Length: ${hidden.length}`, `Content-Length: ${hidden.length}`], hidden)],
	["CL list", post([`Content-Length: 0, ${hidden.length}`], hidden)],
	["CL with a sign", post(["Content-Length: +0"], hidden)],
	["CL with a blank in it", post(["Content-Length: 0 0"], hidden)],
	["CL in hexadecimal", post(["Content-Length: 0x10"], hidden)],
	["CL with an underscore of digits", post(["Content-Length: 1_0"], hidden)],
	["CL beyond any counter", post(["Content-Length: 18446744073709551616"], hidden)],
	["CL with a blank before the colon", post([`Content-Length : ${hidden.length}`], hidden)],
	["CL with a tab before the colon", post([`Content-Length\t: ${hidden.length}`], hidden)],
	["CL with a NUL before the colon", post([`Content-Length\0: ${hidden.length}`], hidden)],
	["TE with a blank before the colon", covered(["Transfer-Encoding : chunked"])],
	["TE with a vertical tab", covered(["Transfer-Encoding:\x0bchunked"])],
	["TE with a form feed", covered(["Transfer-Encoding: chunked\x0c"])],
	["TE twice", post(["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], chunkedHidden)],
	[
		"TE twice, chunked last",
		post(["Transfer-Encoding: identity", "Transfer-Encoding: chunked"], chunkedHidden),
	],
	["TE list", post(["Transfer-Encoding: identity, chunked"], chunkedHidden)],
	["TE list, chunked not last", covered(["Transfer-Encoding: chunked, identity"])],
	["TE of another name", covered(["Transfer-Encoding: xchunked"])],
	["TE quoted", covered(['Transfer-Encoding: "chunked"'])],
	["TE with a parameter", covered(["Transfer-Encoding: chunked;a=b"])],
	["TE empty", covered(["Transfer-Encoding:"])],
	["TE with a comma before", covered(["Transfer-Encoding: ,chunked"])],
	["TE folded", covered(["Transfer-Encoding:", " chunked"])],
	["TE folded with a tab", covered(["Transfer-Encoding:", "\tchunked"])],
	["TE behind a bare CR", covered(["X: a\rTransfer-Encoding: chunked"])],
	["TE behind a NUL", covered(["X: a\0\r\nTransfer-Encoding: chunked"])],
	["TE in HTTP/1.0", covered(["Transfer-Encoding: chunked"]).replace("HTTP/1.1", "HTTP/1.0")],
	["a header line without a colon", covered(["Transfer-Encoding chunked"])],
	["a header name of nothing", covered([": chunked"])],
	[
		"Connection: Content-Length",
		post(["Connection: Content-Length", `Content-Length: ${hidden.length}`], hidden),
	],
	[
		"Connection: Transfer-Encoding",
		post(["Connection: close, Transfer-Encoding", "Transfer-Encoding: chunked"], chunkedHidden),
	],
	["Connection: Host", `GET /vector HTTP/1.1\r\nConnection: Host\r\nHost: a\r\n\r\n`],
	["two Host", `GET /vector HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`],
	["a request line with a bare CR", `GET /vector HTTP/1.1\rX: a\r\nHost: a\r\n\r\n`],
	["a second request in the target", `GET /vector HTTP/1.1\x0bGET ${SMUGGLED} HTTP/1.1\r\nHost: a\r\n\r\n`],
	["HEAD with a body", post([`Content-Length: ${hidden.length}`], hidden).replace("POST", "HEAD")],
	["the HTTP/2 preface", `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${hidden}`],
];

const bodies: readonly (readonly [title: string, wire: string])[] = [
	["chunk size with a sign", chunk("+0\r\n\r\n", hidden)],
	["chunk size with 0x", chunk("0x0\r\n\r\n", hidden)],
	["chunk size with a blank before", chunk(" 0\r\n\r\n", hidden)],
	["chunk size with a blank after", chunk("0 \r\n\r\n", hidden)],
	["chunk size that wraps at 64 bits", chunk("10000000000000000\r\n\r\n", hidden)],
	["chunk size that wraps at 32 bits", chunk("f00000000000000\r\n\r\n", hidden)],
	["chunk size with an underscore", chunk("0_\r\n\r\n", hidden)],
	["chunk size line that ends with LF", chunk("0\n\r\n", hidden)],
	["chunk size line that ends with CR", chunk("0\r\r\n", hidden)],
	["chunk extension with LF in it", chunk("2;\nxx\r\n0\r\n\r\n", hidden)],
	["chunk extension with CR in it", chunk("2;a\rb\r\nxx\r\n0\r\n\r\n", hidden)],
	["chunk data longer than its size", chunk("1\r\nxx\r\n0\r\n\r\n", hidden)],
	["chunk data that ends with LF", chunk("1\r\nx\n0\r\n\r\n", hidden)],
	["chunk data that ends with two other bytes", chunk("1\r\nxXX0\r\n\r\n", hidden)],
	["trailer with a bare LF", chunk("0\r\nX: y\n\r\n", hidden)],
	["trailer with a bare CR", chunk("0\r\nX: y\rZ\r\n\r\n", hidden)],
	["trailer that is the next request", chunk("0\r\n", hidden)],
	["trailer folded", chunk("0\r\nX: y\r\n z\r\n\r\n", hidden)],
	["trailer without a name", chunk("0\r\n: y\r\n\r\n", hidden)],
	["trailer with a blank before the colon", chunk("0\r\nX : y\r\n\r\n", hidden)],
	["trailer with a NUL", chunk("0\r\nX: y\0\r\n\r\n", hidden)],
];

export const desyncVectors: readonly DesyncVector[] = [
	...heads.map(([title, wire]) => ({ title, wire, refusal: "400" as const })),
	...bodies.map(([title, wire]) => ({ title, wire, refusal: "broken" as const })),
];
