/**
 * A storm of damaged files beside `keepalived -t`, from a seed, by hand:
 *
 *   bun test/config/verdict-storm.ts SEED [FILES] [DIRECTORY]
 *
 * Each file is one of the corpus with a few things changed in it, as a hand slips: a line lost, doubled
 * or moved, a word lost or put in, a number out of range, a brace or a quote too few or too many. Printed
 * is each file whose exit status differs, and each that one program finds fault with and the other not.
 * With a DIRECTORY, those files are kept there.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { grammars } from "../../firmware/config/keepalived/keywords/index.ts";
import { loadConfig } from "../../firmware/config/keepalived/load.ts";
import { Random } from "../fuzz/mutate.ts";

const corpus = join(import.meta.dir, "../../../shared/corpus/keepalived");
/** Longer ones cost seconds each and hold nothing that the others do not. */
const LONGEST_FILE_BYTES = 20_000;
const MOST_CHANGES = 3;
const KEEPALIVED_SECONDS = 20;

const [seedText, countText = "200", keepIn] = process.argv.slice(2);
if (seedText === undefined) {
	console.error("bun test/config/verdict-storm.ts SEED [FILES] [DIRECTORY]");
	process.exit(2);
}
const seed = Number(seedText);

const keywords = Object.values(grammars).flatMap((table) => [...table.keys()]);
const oddWords = [
	"0",
	"1",
	"-1",
	"255",
	"256",
	"65535",
	"65536",
	"4294967296",
	"0.01",
	"1.5",
	"300",
	"1e3",
	"0x10",
	"08",
	"on",
	"off",
	"yes",
	"true",
	"no",
	"eth0",
	"lo",
	"192.168.1.1",
	"192.168.1.1/24",
	"192.168.1.1/33",
	"fe80::1",
	"2001:db8::1/64",
	"::",
	"10.0.0.1-20",
	"any",
	"{",
	"}",
	"!",
	"#",
	'"',
	"''",
	'"a b"',
	"\\",
	"$X",
	"@a",
	"~SEQ(X,1,2)",
	"MASTER",
	"BACKUP",
	"wrr",
	"NAT",
	"DR",
	"TUN",
	"TCP",
	"UDP",
	"PASS",
	"AH",
	"1111",
	"root",
	"/bin/true",
	"include /none",
];

/** One slip of the hand. Returns what was done, for the report. */
function slip(lines: string[], random: Random): string {
	const at = random.below(lines.length);
	const line = lines[at]!;
	const words = line.split(/(\s+)/);
	const word = () => {
		const places = words.flatMap((one, index) => (/\S/.test(one) ? [index] : []));
		return places.length === 0 ? -1 : random.pick(places);
	};
	switch (random.below(12)) {
		case 0:
			lines.splice(at, 1);
			return `line ${at + 1} lost: ${line.trim()}`;
		case 1:
			lines.splice(at, 0, line);
			return `line ${at + 1} doubled: ${line.trim()}`;
		case 2: {
			const to = random.below(lines.length);
			lines.splice(at, 1);
			lines.splice(to, 0, line);
			return `line ${at + 1} moved to ${to + 1}: ${line.trim()}`;
		}
		case 3:
		case 4: {
			const place = word();
			if (place === -1) break;
			const [lost] = words.splice(place, 1);
			lines[at] = words.join("");
			return `line ${at + 1}: "${lost}" lost`;
		}
		case 5:
		case 6: {
			const place = word();
			if (place === -1) break;
			const odd = random.pick(oddWords);
			const was = words[place];
			words[place] = odd;
			lines[at] = words.join("");
			return `line ${at + 1}: "${was}" is ${odd}`;
		}
		case 7: {
			const odd = random.pick(oddWords);
			lines[at] = `${line} ${odd}`;
			return `line ${at + 1}: ${odd} at its end`;
		}
		case 8: {
			const keyword = random.pick(keywords);
			const argument = random.below(3) === 0 ? "" : ` ${random.pick(oddWords)}`;
			lines.splice(at, 0, `    ${keyword}${argument}`);
			return `line ${at + 1}: put in ${keyword}${argument}`;
		}
		case 9: {
			const keyword = random.pick(keywords);
			lines.splice(at, 0, `    ${keyword} {`, `        ${random.pick(oddWords)}`, "    }");
			return `line ${at + 1}: put in ${keyword} { }`;
		}
		case 10: {
			const place = random.below(line.length + 1);
			const sign = random.pick(["{", "}", '"', "'", "#", "!", " ", "\t", "\\", "$", "~", "@", "é"]);
			lines[at] = line.slice(0, place) + sign + line.slice(place);
			return `line ${at + 1}: ${sign} at ${place}`;
		}
		default: {
			const place = words.findIndex((one) => /^\d+$/.test(one));
			if (place === -1) break;
			const was = words[place]!;
			words[place] = random.pick([
				"0",
				"-1",
				"",
				"256",
				"65536",
				"99999999999",
				`${was}x`,
				`${was}.5`,
				`+${was}`,
			]);
			lines[at] = words.join("");
			return `line ${at + 1}: "${was}" is "${words[place]}"`;
		}
	}
	return slip(lines, random);
}

/** Files whose own verdict differs, which would hide everything else. */
const differAnyway = ["02.conf", "03.conf"];
/** A notify script that is not there: keepalived says so only when it runs, and then never calls it. */
const notifyScript = ({ code, message }: { readonly code: string; readonly message: string }) =>
	code === "no-script" && message.startsWith("notify");
/** keepalived's messages that name a line: `(FILE: Line 3) …` or `(Line 3) …`. */
const LINE = /\((?:[^()]*: )?Line (\d+)\)\s*(.*)/;

const names = readdirSync(corpus)
	.filter((name) => name.endsWith(".conf") && !differAnyway.includes(name))
	.filter((name) => readFileSync(join(corpus, name)).length <= LONGEST_FILE_BYTES)
	.sort();
const directory = mkdtempSync(join(tmpdir(), "drover-verdict-storm-"));
const path = join(directory, "keepalived.conf");
let differences = 0;
process.chdir(corpus);
try {
	for (let file = 0; file < Number(countText); file++) {
		const random = new Random(seed * 1_000_003 + file);
		const name = random.pick(names);
		const lines = readFileSync(join(corpus, name), "latin1").split("\n");
		const changes = Array.from({ length: 1 + random.below(MOST_CHANGES) }, () => slip(lines, random));
		writeFileSync(path, lines.join("\n"), "latin1");
		const child = Bun.spawn(["timeout", `${KEEPALIVED_SECONDS}`, "keepalived", "-t", "-f", path], {
			stdin: "ignore",
			stdout: "ignore",
			stderr: "pipe",
		});
		const said = (await new Response(child.stderr).text()).trim().split("\n").filter(Boolean);
		const theirs = await child.exited;
		const ours = loadConfig(path, { configId: hostname() });
		const found = ours.diagnostics.filter((one) => !notifyScript(one));
		const what: string[] = [];
		// A crash of its own is no verdict.
		const errors = found.filter(({ severity }) => severity === "error");
		const accepted = ours.acceptable || errors.length === 0 ? 0 : ours.exitStatus;
		if (theirs < 128 && theirs !== ours.exitStatus && theirs !== accepted)
			what.push(`keepalived says ${theirs}, Drover ${ours.exitStatus}`);
		if (theirs !== 2 && theirs < 128) {
			const unseen = said.filter((one) => {
				const line = LINE.exec(one)?.[1];
				return line !== undefined && !found.some(({ location }) => location.line === Number(line));
			});
			if (ours.acceptable) what.push(...unseen.map((one) => `only keepalived: ${LINE.exec(one)![0]}`));
		}
		if (said.length === 0)
			what.push(
				...found
					.filter((one) => one.severity !== "hint" && one.code !== "not-in-effect")
					.map((one) => `only Drover: ${one.severity} ${one.location.line}: ${one.message}`),
			);
		if (what.length === 0) continue;
		differences++;
		console.log(`── ${seed}/${file} ${name}`);
		for (const one of what) console.log(`   ! ${one}`);
		for (const change of changes) console.log(`   ${change}`);
		for (const line of said.slice(-4)) console.log(`   keepalived: ${line}`);
		for (const one of found.filter(({ severity }) => severity === "error").slice(0, 3))
			console.log(`   drover: ${one.location.line}: ${one.message}`);
		if (keepIn !== undefined) writeFileSync(join(keepIn, `${seed}-${file}.conf`), lines.join("\n"), "latin1");
	}
} finally {
	rmSync(directory, { recursive: true });
}
console.log(`seed ${seed}: ${countText} files, ${differences} differ`);
