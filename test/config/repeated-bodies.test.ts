/** Bodies of real servers that repeat are read once: the reading is the one that reads each of them. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { Findings } from "../../firmware/config/keepalived/diagnostics.ts";
import type { LoadedConfig } from "../../firmware/config/keepalived/load.ts";
import { type Files, LineReader } from "../../firmware/config/keepalived/preprocessor.ts";
import { RandomNumbers } from "../../firmware/config/keepalived/random.ts";
import { lineOf } from "../../firmware/config/keepalived/source.ts";
import type { Statement } from "../../firmware/config/keepalived/statement.ts";
import { StatementReader } from "../../firmware/config/keepalived/statements.ts";
import { withFile } from "./load-text.ts";

function statementsOf(text: string): readonly Statement[] {
	const findings = new Findings([]);
	const files: Files = {
		read: () => ({ kind: "text", text: Buffer.from(text), executable: false }),
		match: () => [],
		resolve: (path) => path,
		directoryOf: () => "/",
	};
	const surroundings = { configId: "", variable: () => undefined, random: new RandomNumbers() };
	const reader = new LineReader(files, surroundings, findings, []);
	reader.open("/file", "file");
	return new StatementReader(reader, findings).readRoot();
}

/** Texts that are not ASCII are read without any memory of what was read before. */
function expectSameReading(load: (text: string) => LoadedConfig, text: string): void {
	const whole = JSON.parse(JSON.stringify(load(`# ü\n${text}`)).replaceAll("ü", "u"));
	expect(JSON.parse(JSON.stringify(load(`# u\n${text}`)))).toEqual(whole);
}

const bodies = [
	"{\n\t\tweight 3\n\t}",
	"{\n\t\tweight 3\n\t\tTCP_CHECK {\n\t\t\tconnect_port 80\n\t\t\tretry 2\n\t\t}\n\t}",
	"{\n\t\tTCP_CHECK {\n\t\t\tbindto 10.0.0.9\n\t\t}\n\t}",
	"{\n\t\tTCP_CHECK {\n\t\t\tbind_if eth7\n\t\t}\n\t}",
	"{\n\t\tMISC_CHECK {\n\t\t\tmisc_path /bin/true\n\t\t}\n\t}",
	"{\n\t\tMISC_CHECK {\n\t\t\tmisc_path /no/such\n\t\t}\n\t\tnotify_up /bin/true\n\t}",
	'{\n\t\tHTTP_GET {\n\t\t\turl {\n\t\t\t\tpath "/a b"\n\t\t\t\tstatus_code 200 20\n\t\t\t}\n\t\t}\n\t}',
	"{\n\t\tnotify_down /bin/true\n\t\tnotify_up /no/such\n\t}",
	"{\n\t\tuthreshold 3\n\t\tlthreshold 9\n\t}",
	"{\n\t\tlvs_method TUN type gue\n\t}",
	"{\n\t\tlvs_method DR port 7\n\t}",
	"{\n\t\tweight -1\n\t}",
	"{\n\t\twieght 1\n\t}",
	"{\n\t\tweight $W\n\t}",
	"{\n\t\tBFD_CHECK {\n\t\t\tname nobody\n\t\t}\n\t}",
	"{\n\t}",
	"{ }",
	"{ weight 4\n\t}",
	"{ weight 4 }",
	"{ # weight\n\t\tweight 5 # 5\n\n\t} ! end",
	"{\n\t\tweight 6 }",
	"\n\t{\n\t\tweight 7\n\t}",
	"{\n\t\tweight 8\n",
	"",
];
const heads = [
	"10.1.0.1 80",
	"10.1.0.2 80",
	"10.1.0.3 8080",
	"10.1.0.4",
	"fd00::1 80",
	"10.1.0.999 80",
	"10.1.0.5 x",
	"",
];
const tops = [
	"protocol TCP",
	"lb_kind DR",
	"lb_kind TUN",
	"delay_loop 3",
	"weight 2",
	"inhibit_on_failure",
	"$W=9",
	"",
];
const servers = ["10.0.0.1 80", "10.0.0.2 80", "fwmark 3", "fd00::80 80", "group none"];

test("in generated files", () => {
	const body = fc.tuple(fc.constantFrom(...bodies), fc.constantFrom("\n", " ", "\n\n"));
	// Few kinds of bodies in one file, so that they repeat, under the same address or another.
	const file = fc.array(body, { minLength: 1, maxLength: 3 }).chain((kinds) => {
		const realServer = fc
			.tuple(fc.constantFrom(...heads), fc.constantFrom(...kinds))
			.map(([head, [text, end]]) => `\treal_server ${head} ${text}${end}`);
		const virtualServer = fc
			.tuple(
				fc.constantFrom(...servers),
				fc.array(fc.constantFrom(...tops), { maxLength: 3 }),
				fc.array(realServer, { minLength: 1, maxLength: 6 }),
				// Some say a setting once more behind their real servers, …
				fc.array(fc.constantFrom(...tops), { maxLength: 1 }),
				// … or one on their own line.
				fc.constantFrom("\n\t", "\n\t", " lb_kind TUN type gue\n\t"),
			)
			.map(
				([name, lines, inner, last, first]) =>
					`virtual_server ${name} {${first}${lines.join("\n\t")}\n${inner.join("")}${last.join("")}}\n`,
			);
		return fc.array(virtualServer, { minLength: 1, maxLength: 4 });
	});
	withFile((load) =>
		fc.assert(
			fc.property(file, (parts) => expectSameReading(load, parts.join(""))),
			{ numRuns: 1000 },
		),
	);
});

test("real servers that differ in their address alone are one statement, which knows where they stand", () => {
	const realServer = (address: string, weight: number) =>
		`\treal_server ${address} 80 {\n\t\tweight ${weight}\n\t}\n`;
	const servers = [
		realServer("10.1.0.1", 3),
		realServer("10.1.0.2", 3),
		realServer("10.1.0.3", 3),
		realServer("10.1.0.4", 5),
		realServer("10.1.0.5", 3),
	];
	const [virtualServer] = statementsOf(`virtual_server 10.0.0.1 80 {\n${servers.join("")}}\n`);
	const rows = virtualServer!.body!.map(({ words, alike }) => [
		words[0],
		alike?.firstWords ?? [],
		alike?.linesApart ?? 0,
	]);
	expect(rows).toEqual([
		["10.1.0.1", ["10.1.0.2", "10.1.0.3"], 3],
		["10.1.0.4", [], 0],
		["10.1.0.5", [], 0],
	]);
});

test("real servers whose bodies differ share what these say of them", () => {
	withFile((load) => {
		const body = (port: number, more = "") =>
			`{\n\t\tTCP_CHECK {\n\t\t\tconnect_port ${port}\n\t\t}\n${more}\t}`;
		const servers = [body(1), body(2), body(3, "\t\tinhibit_on_failure\n")];
		const text = servers.map((each, index) => `\treal_server 10.0.1.${index} 80 ${each}\n`).join("");
		const { config } = load(`virtual_server 10.0.0.1 80 {\n\tprotocol TCP\n${text}}\n`);
		const [first, second, third] = config.virtualServers[0]!.realServers;
		expect(second!.rules).toBe(first!.rules);
		expect(second!.checks[0]!.timing).toBe(first!.checks[0]!.timing);
		expect(third!.rules).toEqual({ ...first!.rules, inhibitOnFailure: true });
	});
});

test("settings before the first real server that say the same are one list of statements, which knows where it stands", () => {
	const server = (address: string, last = "") =>
		`virtual_server ${address} 80 { # of the shop\n\tdelay_loop 6\n\tprotocol TCP\n\treal_server ${address} 80 {\n\t}\n${last}}\n`;
	const statements = statementsOf(
		[server("10.0.0.1"), server("10.0.0.2"), server("10.0.0.3", "protocol UDP\n")].join(""),
	);
	const [first, second, third] = statements.map(({ body }) => body!);
	expect(statements.map(({ number }) => number)).toEqual([0, 6, 0]);
	expect(second!.slice(0, 2).map((setting, index) => setting === first![index])).toEqual([true, true]);
	expect(second![2]!.words[0]).toBe("10.0.0.2");
	expect(third!.map(({ keyword, at }) => `${keyword.name} ${lineOf(at)}`)).toEqual([
		"delay_loop 14",
		"protocol 15",
		"real_server 16",
		"protocol 18",
	]);
});

test("in the corpus, each file after itself", () => {
	const corpus = join(import.meta.dir, "../../../shared/corpus/keepalived");
	withFile((load) => {
		for (const name of readdirSync(corpus).filter((one) => one.endsWith(".conf"))) {
			const text = readFileSync(join(corpus, name), "latin1").replaceAll(/[^\x00-\x7f]/g, "?");
			expectSameReading(load, `${text}\n${text}`);
		}
	});
});
