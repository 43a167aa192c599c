/** Regular expressions of VCL (PCRE2 syntax over bytes). */

/** As RegExp's match array, with positions. Groups that took no part are undefined. */
export interface Match {
	readonly index: number;
	readonly [group: number]: string | undefined;
}

export interface Matcher {
	test(subject: string): boolean;
	/** First match at or after `from`. */
	exec(subject: string, from: number, notEmpty: boolean): Match | null;
}

export interface Regex {
	readonly pattern: string;
	readonly matcher: Matcher;
}

export type RegexResult =
	| { readonly ok: true; readonly regex: Regex }
	| { readonly ok: false; readonly error: string; readonly hint: string | null };

export function compileRegex(pattern: string): RegexResult {
	try {
		let source = pattern;
		let flags = "g";
		const inline = /^\(\?i\)/.exec(source);
		if (inline !== null) {
			flags += "i";
			source = source.slice(4);
		}
		source = source.replace(/\[\[:upper:\]\]/g, "[A-Z]").replace(/\(\?i:/g, "(?:");
		const regexp = new RegExp(source, flags);
		return {
			ok: true,
			regex: {
				pattern,
				matcher: {
					test(subject) {
						regexp.lastIndex = 0;
						return regexp.test(subject);
					},
					exec(subject, from) {
						regexp.lastIndex = from;
						return regexp.exec(subject);
					},
				},
			},
		};
	} catch (error) {
		return { ok: false, error: String(error), hint: null };
	}
}
