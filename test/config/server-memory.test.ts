/** A reload reads only what changed: with the memory of the readings before it, every reading gives what it gives alone. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { ServerMemory } from "../../firmware/config/keepalived/server-memory.ts";
import { server, withFile } from "./load-text.ts";

const lines = (text: string) => text.split("\n");
const pieces: readonly string[][] = [
	...[1, 2, 3].map((host) => lines(server("", "\t\tTCP_CHECK {\n\t\t}", `10.0.0.${host} 80`))),
	lines(server("\tquorum 9\n\tdelay_loop 3 # s", "\t\tweight 2", "10.0.1.1 80")),
	lines(server("\tflub 1", "", "10.0.1.2 80")),
	lines(server("\tlb_kind DR\n\tprotocol UDP", "\t\tweight $W", "10.0.1.3 80")),
	lines(server("", "\t\tnotify_up /bin/true", "fwmark 3")),
	lines(server("", "\t\tTCP_CHECK {\n\t\t\tbind_if eth1\n\t\t}", "10.0.1.5 80")),
	lines(server("", "\t\tnb_get_retry 3", "10.0.1.4 443").replace("{\n", "\n{\n")),
	[
		"virtual_server 10.0.2.1 80 { protocol TCP",
		"real_server 10.1.1.1 80 { weight 3 } } virtual_server 10.0.2.2 80 {",
		"real_server 10.1.1.2 80 { weight 4 } }",
	],
	["$W=7"],
	["@director global_defs {", "@director checker_log_all_failures", "@director }"],
	["global_defs {", "\tsmtp_alert_checker on", "}"],
	["include more.inc"],
	["! a comment {", "# ü"],
	["}"],
	[""],
];

test("after any edits the reading is the one without a memory", () => {
	const piece = fc.nat(pieces.length - 1);
	const edit = fc.record({ at: fc.nat(60), remove: fc.nat(4), insert: fc.option(piece, { nil: -1 }) });
	withFile((load) =>
		fc.assert(
			fc.property(fc.array(piece, { maxLength: 10 }), fc.array(edit, { maxLength: 5 }), (first, edits) => {
				const memory = new ServerMemory();
				let text = first.flatMap((index) => pieces[index]!);
				expect(load(text.join("\n"), memory)).toEqual(load(text.join("\n")));
				for (const { at, remove, insert } of edits) {
					const place = text.length === 0 ? 0 : at % text.length;
					text = text.toSpliced(place, remove, ...(pieces[insert] ?? []));
					expect(load(text.join("\n"), memory)).toEqual(load(text.join("\n")));
				}
			}),
			{ numRuns: 300 },
		),
	);
});

test("what did not change is the same object, wherever it stands now", () => {
	withFile((load) => {
		const memory = new ServerMemory();
		const texts = [1, 2, 3].map((host) => server("", "\t\tTCP_CHECK {\n\t\t}", `10.0.0.${host} 80`));
		const before = load(texts.join(""), memory).config.virtualServers;
		texts[1] = texts[1]!.replace("lb_algo rr", "lb_algo wrr");
		const moved = `

${texts.join("")}`;
		const after = load(moved, memory).config.virtualServers;
		expect(after.map((one, index) => one === before[index])).toEqual([true, false, true]);
		expect(after).toEqual(load(moved).config.virtualServers);
	});
});

test("a global setting that servers inherit makes all of them new", () => {
	withFile((load) => {
		const memory = new ServerMemory();
		const text = server("", "\t\tTCP_CHECK {\n\t\t}");
		const [before] = load(text, memory).config.virtualServers;
		const { config } = load(`${text}global_defs {\n\tchecker_log_all_failures\n}\n`, memory);
		expect(config.virtualServers[0]).not.toBe(before);
		expect(config.virtualServers[0]!.realServers[0]!.checks[0]!.timing.logAllFailures).toBe(true);
	});
});
