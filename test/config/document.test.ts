// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the configuration has this syntax of its own
/** The document tree: what is not edited stays as it was written, to the byte. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseDocument, print } from "../../firmware/config/keepalived/document.ts";
import {
	addBlock,
	addLine,
	blocksAt,
	EditError,
	hasBlock,
	removeBlock,
	removeLine,
	removeSetting,
	renameBlock,
	setSetting,
	settingAt,
} from "../../firmware/config/keepalived/edit.ts";
import { planChanges } from "../../firmware/config/plan.ts";
import { loadText } from "./load-text.ts";

const text = `! the box in rack 4
global_defs {
   router_id  A   # ours
}

# outside
vrrp_instance VI_1 {
	interface eth0
	virtual_router_id 51
	priority 100 ! of two
	virtual_ipaddress {
		10.0.0.1/24   # web

		10.0.0.2/24
	}
}

virtual_server 10.0.0.1 80 {
	protocol TCP
	lb_algo rr
	lb_kind NAT

	# first
	real_server 10.0.1.2 80 {
		weight 1
	}
	# second
	real_server 10.0.1.3 80 {
		weight 1
	}
}
`;

/** Lines of `after` that are not in `before`, and the other way round. */
function difference(before: string, after: string): { added: string[]; removed: string[] } {
	const left = before.split("\n");
	const right = after.split("\n");
	let start = 0;
	while (start < left.length && left[start] === right[start]) start++;
	let end = 0;
	while (end < left.length - start && end < right.length - start && left.at(-1 - end) === right.at(-1 - end))
		end++;
	return { added: right.slice(start, right.length - end), removed: left.slice(start, left.length - end) };
}

const edited = (change: (document: ReturnType<typeof parseDocument>) => ReturnType<typeof parseDocument>) =>
	difference(text, print(change(parseDocument(text))));

describe("edits", () => {
	test("add a real server: behind the last one, in their manner", () => {
		const line = ["weight 3", ["TCP_CHECK", "connect_timeout 3"]] as const;
		expect(
			edited((document) =>
				addBlock(document, ["virtual_server 10.0.0.1 80"], "real_server 10.0.1.4 80", line),
			),
		).toEqual({
			removed: [],
			added: [
				"\treal_server 10.0.1.4 80 {",
				"\t   weight 3",
				"\t   TCP_CHECK {",
				"\t      connect_timeout 3",
				"\t   }",
				"\t}",
			],
		});
	});

	test("remove a real server, with its comment", () => {
		expect(
			edited((document) => removeBlock(document, ["virtual_server 10.0.0.1 80", "real_server 10.0.1.3 80"])),
		).toEqual({ removed: ["\t# second", "\treal_server 10.0.1.3 80 {", "\t\tweight 1", "\t}"], added: [] });
	});

	test("change a weight", () => {
		const path = ["virtual_server 10.0.0.1 80", "real_server 10.0.1.2 80"];
		expect(edited((document) => setSetting(document, path, "weight", ["0"]))).toEqual({
			removed: ["\t\tweight 1"],
			added: ["\t\tweight 0"],
		});
	});

	test("change a setting: comment and blanks stay", () => {
		expect(edited((document) => setSetting(document, ["vrrp_instance VI_1"], "priority", ["120"]))).toEqual({
			removed: ["\tpriority 100 ! of two"],
			added: ["\tpriority 120 ! of two"],
		});
		expect(edited((document) => setSetting(document, ["global_defs"], "router_id", ["B"]))).toEqual({
			removed: ["   router_id  A   # ours"],
			added: ["   router_id B   # ours"],
		});
	});

	test("add a setting: before the blocks", () => {
		expect(edited((document) => setSetting(document, ["vrrp_instance VI_1"], "nopreempt", []))).toEqual({
			removed: [],
			added: ["\tnopreempt"],
		});
	});

	test("remove a setting", () => {
		expect(edited((document) => removeSetting(document, ["virtual_server 10.0.0.1 80"], "lb_algo"))).toEqual({
			removed: ["\tlb_algo rr"],
			added: [],
		});
	});

	test("add and remove an address", () => {
		const path = ["vrrp_instance VI_1", "virtual_ipaddress"];
		expect(edited((document) => addLine(document, path, "10.0.0.3/24"))).toEqual({
			removed: [],
			added: ["\t\t10.0.0.3/24"],
		});
		expect(edited((document) => removeLine(document, path, "10.0.0.1/24"))).toEqual({
			removed: ["\t\t10.0.0.1/24   # web"],
			added: [],
		});
	});

	test("add an instance and a virtual server; remove them again", () => {
		const before = parseDocument(text);
		const after = addBlock(before, [], "vrrp_instance VI_2", [
			"interface eth1",
			["virtual_ipaddress", "10.1.0.1"],
		]);
		expect(difference(text, print(after)).removed).toEqual([]);
		expect(print(removeBlock(after, ["vrrp_instance VI_2"])).replace("\n\n\n", "\n\n")).toBe(text);
		const more = addBlock(before, [], "virtual_server 10.0.0.2 80", ["protocol TCP"]);
		expect(print(more)).toBe(`${text}\nvirtual_server 10.0.0.2 80 {\n   protocol TCP\n}\n`);
	});

	test("rename a virtual server", () => {
		expect(
			edited((document) =>
				renameBlock(document, ["virtual_server 10.0.0.1 80"], "virtual_server 10.0.0.1 8080"),
			),
		).toEqual({ removed: ["virtual_server 10.0.0.1 80 {"], added: ["virtual_server 10.0.0.1 8080 {"] });
	});

	test("what there is", () => {
		const document = parseDocument(text);
		expect(
			blocksAt(document, ["virtual_server 10.0.0.1 80"], "real_server").map((block) => block.words[1]),
		).toEqual(["10.0.1.2", "10.0.1.3"]);
		expect(settingAt(document, ["vrrp_instance VI_1"], "priority")).toEqual(["100"]);
		expect(hasBlock(document, ["vrrp_instance VI_9"])).toBe(false);
	});

	test("what cannot be edited is said", () => {
		const document = parseDocument(text);
		expect(() => removeBlock(document, ["vrrp_instance VI_9"])).toThrow(
			new EditError("there is no vrrp_instance VI_9"),
		);
		expect(() => addBlock(document, [], "vrrp_instance VI_1", [])).toThrow(
			new EditError("vrrp_instance VI_1 exists already"),
		);
	});

	test("a byte order mark stays, and hides no block", () => {
		const marked = "\ufeffglobal_defs {\n\trouter_id A\n}\n";
		const document = setSetting(parseDocument(marked), ["global_defs"], "router_id", ["B"]);
		expect(print(document)).toBe(marked.replace("A", "B"));
	});

	test("line ends stay as they are", () => {
		const windows = text.replaceAll("\n", "\r\n");
		const after = print(setSetting(parseDocument(windows), ["vrrp_instance VI_1"], "nopreempt", []));
		expect(after).toContain("\tnopreempt\r\n");
		expect(after.replace("\tnopreempt\r\n", "")).toBe(windows);
	});

	test.each([
		["on one line", "a { b 1 }\n", ["a"], "a {\n b 1\n    c 2\n}\n"],
		["without a last line end", "a {\n\tb 1\n}", ["a"], "a {\n\tb 1\n\tc 2\n}"],
		["brace on its own line", "a\n{\n  b 1\n}\n", ["a"], "a\n{\n  b 1\n  c 2\n}\n"],
		["empty", "a {\n}\n", ["a"], "a {\n    c 2\n}\n"],
	])("a block %s", (_title, before, path, after) => {
		const document = parseDocument(before);
		const changed = print(setSetting(document, path, "c", ["2"]));
		expect(changed.replaceAll(/[ \t]+/g, " ")).toBe(after.replaceAll(/[ \t]+/g, " "));
		expect(settingAt(parseDocument(changed), path, "b")).toEqual(settingAt(document, path, "b"));
	});

	test("an edit changes in the model what it says, and nothing else", () => {
		const before = loadText(text);
		const path = ["virtual_server 10.0.0.1 80", "real_server 10.0.1.2 80"];
		const after = loadText(print(setSetting(parseDocument(text), path, "weight", ["0"])));
		expect(
			planChanges(before.config, after.config).map((change) => `${change.subject}: ${change.text}`),
		).toEqual(["TCP 10.0.0.1:80 → 10.0.1.2:80: weight 1 → 0"]);
	});
});

describe("print ∘ parse is identity", () => {
	const piece = fc.constantFrom(
		"vrrp_instance V {",
		"{",
		"}",
		"\n",
		"\r\n",
		" ",
		"\t",
		"# c { }",
		"! x",
		'"a b"',
		'"open',
		"a",
		"b{c}d",
		"$X=1 \\",
		"$X= {",
		"~SEQ(i,3) a {",
		"@me }",
		"é",
		"\\#",
		"${Y}",
	);

	test("pieces of configuration in any order", () => {
		fc.assert(
			fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
				const input = pieces.join("");
				const document = parseDocument(input);
				expect(print(document)).toBe(input);
				expect(parseDocument(print(document))).toEqual(document);
			}),
			{ numRuns: 1000 },
		);
	});

	test("any text", () => {
		fc.assert(
			fc.property(fc.string({ unit: "binary", maxLength: 200 }), (input) => {
				expect(print(parseDocument(input))).toBe(input);
			}),
			{ numRuns: 500 },
		);
	});

	test("an edit of generated files leaves every other line as it was", () => {
		const blank = fc.constantFrom("", " ", "  ", "\t");
		const line = fc.tuple(
			blank,
			fc.stringMatching(/^[a-z_]{1,8} [0-9]{1,3}$/),
			blank,
			fc.constantFrom("", "# note", "! x"),
		);
		const body = fc.array(
			line.map((parts) => parts.join("")),
			{ maxLength: 6 },
		);
		fc.assert(
			fc.property(fc.array(body, { minLength: 1, maxLength: 5 }), fc.nat(), (bodies, choice) => {
				const input = bodies
					.map((lines, index) => `block n${index} {\n${lines.join("\n")}\n}\n`)
					.join("\n# between\n");
				const path = [`block n${choice % bodies.length}`];
				const after = print(setSetting(parseDocument(input), path, "ZZ", ["1"]));
				const lines = after.split("\n").filter((one) => one.trim() !== "ZZ 1");
				expect(lines.join("\n")).toBe(input);
			}),
			{ numRuns: 300 },
		);
	});
});
