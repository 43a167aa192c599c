/** A command as the log tells it. Pure. */

/** Its words, without the password that a URL may hold (RFC 3986 §3.2.1). */
export const toldCommand = (words: readonly string[]): string =>
	words.map((word) => word.replace(/^([a-z][a-z0-9+.-]*:\/\/[^/?#@:]*):[^/?#]*@/i, "$1:…@")).join(" ");
