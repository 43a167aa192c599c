/** 60 files as people wrote them, read in place: the stock verdict, ours, and the way out. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { toText } from "../../../firmware/cache/vcl/byte-string.ts";
import { compileVcl } from "../../../firmware/cache/vcl/compile.ts";

setDefaultTimeout(60_000);

const corpus = join(import.meta.dir, "../../../../shared/corpus");
const files = readdirSync(join(corpus, "vcl")).sort();

interface Verdict {
	readonly ok: boolean;
	readonly first: string;
}

const manifest = new Map<string, Verdict>(
	readFileSync(join(corpus, "manifest.tsv"), "utf8")
		.split("\n")
		.map((line) => line.split("\t"))
		.filter(([file]) => file?.startsWith("vcl/"))
		.map(([file, , , verdict, first]) => [file!.slice(4), { ok: verdict === "0", first: first ?? "" }]),
);

function compile(file: string, upgrade: boolean) {
	return compileVcl(readFileSync(join(corpus, "vcl", file)), {
		name: file,
		upgrade,
		include: ({ name }) => ({ ok: false, error: `Cannot read file '${name}' (No such file or directory)` }),
		// The stock verdicts were taken without a name server.
		resolve: (name) =>
			name === "localhost"
				? { ok: true, addresses: ["127.0.0.1", "::1"] }
				: { ok: false, error: "Name or service not known" },
	});
}

/** The line of the message that the manifest keeps, with the place after it. */
function firstLine(text: string): string {
	const [message] = text.split("\n");
	const place = /\('[^']+' Line \d+ Pos \d+\)/.exec(text)?.[0];
	return place === undefined || /^VCL version/.test(message!) ? message! : `${message} ${place}`;
}

const rows: string[] = [];
afterAll(() =>
	console.log(["", "file     stock  ours        first line, and the way out", ...rows].join("\n")),
);

describe("corpus", () => {
	test("is there", () => {
		expect(existsSync(corpus)).toBe(true);
		expect(files).toHaveLength(60);
		expect(manifest.size).toBe(60);
	});

	for (const file of files)
		test(file, () => {
			const stock = manifest.get(file)!;
			const strict = compile(file, false);
			const ours = compile(file, true);
			const verdict = ours.ok ? (stock.ok ? "accepted" : "translated") : "refused";
			rows.push(
				`${file}   ${stock.ok ? "0" : "2"}      ${verdict.padEnd(11)} ${ours.ok ? "" : firstLine(toText(ours.error.text.replace(/VCL 3: [\s\S]*?\(That was just a warning\)\n/g, "")))}`,
			);
			if (!ours.ok && ours.error.hint !== null) rows.push(`${" ".repeat(28)}${toText(ours.error.hint)}`);
			// Without the translation the verdict is the stock compiler's …
			expect(strict.ok).toBe(stock.ok);
			// … for the same reason.
			if (!strict.ok) {
				const shown = stock.first.replace(/\n.*/s, "");
				if (shown.startsWith("VCL version")) expect(firstLine(strict.error.text)).toBe(shown);
				else {
					const place = /\('[^']+' Line \d+ Pos \d+\)/.exec(shown)?.[0];
					expect(toText(strict.error.text)).toContain(shown.split(" ('")[0]!);
					if (place !== undefined) expect(strict.error.text).toContain(place);
				}
			}
			// Nothing that was accepted is refused, and whoever is refused is told the place and the way out.
			if (stock.ok) expect(ours.ok).toBe(true);
			if (!ours.ok) expect(ours.error.hint).not.toBeNull();
		});

	test("programs for Varnish 3 are translated where nothing outside the file is missing", () => {
		const translated = files.filter((file) => !manifest.get(file)!.ok && compile(file, true).ok);
		expect(translated).toEqual(
			expect.arrayContaining([
				"05.vcl",
				"11.vcl",
				"14.vcl",
				"15.vcl",
				"16.vcl",
				"17.vcl",
				"18.vcl",
				"39.vcl",
				"48.vcl",
			]),
		);
	});
});
