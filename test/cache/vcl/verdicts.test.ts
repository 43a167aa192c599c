/**
 * The corpus with words taken out, doubled, swapped and strewn in: what the stock compiler accepts is accepted, and
 * what it refuses is refused. VCL_SEED and VCL_PROGRAMS make it another storm, or a longer one.
 */
import { afterAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { compileVcl } from "../../../firmware/cache/vcl/compile.ts";
import { Random } from "../../fuzz/mutate.ts";
import { StockCompiler } from "./stock.ts";

const SEED = Number(process.env["VCL_SEED"] ?? 3);
const PROGRAMS = Number(process.env["VCL_PROGRAMS"] ?? 30);

const corpus = join(import.meta.dir, "../../../../shared/corpus/vcl");
const sources = readdirSync(corpus)
	.sort()
	.map((name) => readFileSync(join(corpus, name), "latin1"))
	// Without a name server.
	.map((text) => text.replace(/(\.host\s*=\s*)"[^"]*"/g, '$1"127.0.0.1"'))
	.filter((text) => /^\s*vcl 4/m.test(text));

const tokens = (text: string) =>
	text.match(
		/\/\*[\s\S]*?\*\/|#[^\n]*|\/\/[^\n]*|\{"[\s\S]*?"\}|"[^"\n]*"|[A-Za-z_][\w-]*|\d+|\s+|[!=<>]=|&&|\|\||[\s\S]/g,
	) ?? [];
const isBlank = (token: string) => /^(?:\s|#|\/\*|\/\/)/.test(token);
const words = [...new Set(sources.flatMap(tokens))].filter((token) => !isBlank(token));

function torn(random: Random): string {
	const list = tokens(random.pick(sources));
	const place = () => {
		let at = random.below(list.length);
		while (isBlank(list[at]!)) at = random.below(list.length);
		return at;
	};
	const at = place();
	switch (random.below(4)) {
		case 0:
			list.splice(at, 1);
			break;
		case 1:
			list.splice(at, 0, list[at]!, " ");
			break;
		case 2:
			list[at] = random.pick(words);
			break;
		default: {
			const other = place();
			[list[at], list[other]] = [list[other]!, list[at]!];
		}
	}
	return list.join("");
}

const stock = new StockCompiler();
afterAll(() => stock.close());

test(`${PROGRAMS} programs from seed ${SEED}`, () => {
	const random = new Random(SEED);
	for (let count = 0; count < PROGRAMS; count++) {
		const program = torn(random);
		const ours = compileVcl(Buffer.from(program, "latin1"), {
			name: "F",
			upgrade: false,
			include: ({ name }) => ({ ok: false, error: `Cannot read file '${name}' (No such file or directory)` }),
			resolve: (name) =>
				name === "localhost"
					? { ok: true, addresses: ["127.0.0.1", "::1"] }
					: { ok: false, error: "Name or service not known" },
		});
		// What a name server says is not for this test.
		if (!ours.ok && /DNS lookup|resolve/.test(ours.error.text)) continue;
		const theirs = stock.compile(Buffer.from(program, "latin1"));
		expect({ program, accepted: ours.ok }).toEqual({ program, accepted: theirs.ok });
	}
}, 120_000);
