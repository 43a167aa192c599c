/** Pages of a program's address space, as runs, and lists of them as text. A list holds for one program. Pure. */

export const PAGE_BYTES = 4096;

export interface PageRun {
	readonly firstPage: number;
	readonly pages: number;
}

export interface PageList {
	/** The linker's build identifier of the program, in hexadecimal. */
	readonly buildId: string;
	readonly runs: readonly PageRun[];
}

/** `pages` in ascending order, as runs; so many pages between two runs are taken along. */
export function runsOf(pages: readonly number[], gapPages: number): PageRun[] {
	const runs: { firstPage: number; pages: number }[] = [];
	for (const page of pages) {
		const last = runs.at(-1);
		const end = last === undefined ? 0 : last.firstPage + last.pages;
		if (last !== undefined && page - end <= gapPages) last.pages = page + 1 - last.firstPage;
		else runs.push({ firstPage: page, pages: 1 });
	}
	return runs;
}

const RUNS_PER_LINE = 8;

/** The list as text: the build identifier, and runs as FIRSTPAGE+PAGES, both hexadecimal. */
export function formatPageList({ buildId, runs }: PageList): string {
	const words = runs.map(({ firstPage, pages }) => `${firstPage.toString(16)}+${pages.toString(16)}`);
	const lines = Array.from({ length: Math.ceil(words.length / RUNS_PER_LINE) }, (_, line) =>
		words.slice(line * RUNS_PER_LINE, (line + 1) * RUNS_PER_LINE).join(" "),
	);
	return `${[`build-id ${buildId}`, ...lines].join("\n")}\n`;
}

/** Throws on text that `formatPageList` does not write. */
export function parsePageList(text: string): PageList {
	const [head = "", ...lines] = text.trimEnd().split("\n");
	const buildId = /^build-id ([\da-f]+)$/.exec(head)?.[1];
	if (buildId === undefined) throw new Error("a list of pages begins with a build identifier");
	const runs = lines
		.flatMap((line) => line.split(" "))
		.map((word) => {
			const [, firstPage, pages] = /^([\da-f]+)\+([\da-f]+)$/.exec(word) ?? [];
			if (firstPage === undefined || pages === undefined) throw new Error(`"${word}" is no run of pages`);
			return { firstPage: Number.parseInt(firstPage, 16), pages: Number.parseInt(pages, 16) };
		});
	return { buildId, runs };
}
