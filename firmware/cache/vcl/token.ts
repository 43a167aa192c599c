/** Tokens of VCL and the sources they come from. Positions are offsets into the source's byte string. */

export interface SourceFile {
	/** As given to vcl.load, `<vcl.inline>`, `<-b argument>` or `<builtin>`. */
	readonly name: string;
	/** Byte string. */
	readonly text: string;
	/** The file that includes this one, and the string token that does. */
	readonly includedFrom: { readonly source: SourceFile; readonly token: Token } | null;
}

/** Names the compiler uses in "Expected X got …". Fixed tokens are named by their own text in quotes. */
export type TokenKind = "ID" | "CSTR" | "CNUM" | "FNUM" | "CBLOB" | "CSRC" | "EOI" | FixedToken;

/** Longest first, so that a prefix never wins. */
export const fixedTokens = [
	"++",
	"--",
	"&&",
	"||",
	"<=",
	"==",
	"!=",
	">=",
	">>",
	"<<",
	"+=",
	"-=",
	"*=",
	"/=",
	"!~",
	"{",
	"}",
	"(",
	")",
	"*",
	"+",
	"-",
	"/",
	"%",
	">",
	"<",
	"=",
	";",
	"!",
	"&",
	".",
	"|",
	"~",
	",",
] as const;

export type FixedToken = (typeof fixedTokens)[number];

export interface Token {
	readonly kind: TokenKind;
	/** As written. */
	readonly text: string;
	/** CSTR: without delimiters. CBLOB: the decoded bytes. Else the text. */
	readonly value: string;
	readonly source: SourceFile;
	readonly begin: number;
	readonly end: number;
	/** Position in the token stream after includes; set when the stream is put together. */
	index: number;
}

/** How an error names a token. */
export function tokenName(token: Token): string {
	switch (token.kind) {
		case "EOI":
			return "end of input";
		case "CSRC":
			return "C{ ... }C";
		default:
			return `'${token.text}'`;
	}
}

export function kindName(kind: TokenKind): string {
	switch (kind) {
		case "ID":
		case "CSTR":
		case "CNUM":
		case "FNUM":
		case "CBLOB":
		case "CSRC":
			return kind;
		case "EOI":
			return "end of input";
		default:
			return `'${kind}'`;
	}
}
