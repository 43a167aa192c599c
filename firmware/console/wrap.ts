/** Text into lines of a terminal's width. Pure. */

/** A line of 80 columns wraps on some terminals as soon as its last column is filled. */
export const WIDTH_COLUMNS = 79;

/** What a terminal would act on, shown as "?" instead: nothing that a peer sends may move the cursor. */
export function printable(text: string): string {
	return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}

/**
 * Breaks `text` between words so that no line, with its indent, is wider than `width`.
 * A word that is longer than a line is cut.
 */
export function wrap(text: string, indent: string, nextIndent = indent, width = WIDTH_COLUMNS): string[] {
	const lines: string[] = [];
	let line = indent;
	let empty = true;
	for (let word of printable(text).split(/ +/)) {
		if (word === "") continue;
		if (!empty && line.length + 1 + word.length > width) {
			lines.push(line);
			line = nextIndent;
			empty = true;
		}
		while (line.length + word.length > width) {
			const room = Math.max(1, width - line.length);
			lines.push(line + word.slice(0, room));
			word = word.slice(room);
			line = nextIndent;
		}
		line += empty ? word : ` ${word}`;
		empty = false;
	}
	if (!empty || lines.length === 0) lines.push(line.trimEnd());
	return lines;
}

/** Cuts to `width` columns, marking what was cut. */
export function cut(text: string, width: number): string {
	const clean = printable(text);
	return clean.length <= width ? clean : `${clean.slice(0, Math.max(0, width - 1))}~`;
}

/** Breaks a line that is wider than `width` behind a blank, where there is one; columns and blanks stay as they are. */
export function fold(text: string, width = WIDTH_COLUMNS): string[] {
	const clean = printable(text);
	if (clean.length <= width) return [clean];
	const rest = `.{1,${width}}`;
	return clean.match(new RegExp(`${rest}$|.{0,${width - 2}}\\S |${rest}`, "gu")) ?? [clean];
}
