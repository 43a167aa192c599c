/** ESI tags in a page, whatever pieces it comes in. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { EsiParser, type EsiRules, INCLUDE_LIMIT, SRC_BYTES } from "../../../firmware/cache/esi/parser.ts";
import type { EsiStep } from "../../../firmware/cache/esi/program.ts";

const usual: EsiRules = {
	xmlCheck: true,
	ignoreHttps: false,
	ignoreOtherElements: false,
	removeBom: false,
};

interface Parsed {
	readonly steps: readonly EsiStep[] | undefined;
	readonly remarks: readonly string[];
}

function parse(page: string, rules: Partial<EsiRules> = {}, cuts: readonly number[] = []): Parsed {
	const remarks: string[] = [];
	const parser = new EsiParser("/dir/page?a=/b", { ...usual, ...rules }, ({ text }) => remarks.push(text));
	const bytes = Buffer.from(page, "latin1");
	const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
	let from = 0;
	for (const to of [...places, bytes.length]) {
		if (to > from) parser.push(bytes.subarray(from, to));
		from = to;
	}
	return { steps: parser.end(), remarks };
}

/** What a client is sent; an include as [host|url], with a + when it goes on after a failure. */
function sent(page: string, { steps }: Parsed): string | undefined {
	if (steps === undefined) return undefined;
	let text = "";
	let at = 0;
	for (const step of steps) {
		if (step.kind === "include") text += `[${step.host}|${step.url}${step.continues ? "+" : ""}]`;
		else {
			if (step.kind === "verbatim") text += page.slice(at, at + step.bytes);
			at += step.bytes;
		}
	}
	expect(at).toBe(page.length);
	return text;
}

const of = (page: string, rules?: Partial<EsiRules>) => {
	const parsed = parse(page, rules);
	return { sent: sent(page, parsed), remarks: parsed.remarks };
};

describe("tags", () => {
	for (const [title, page, expected] of [
		["nothing but markup is no ESI page", "<html>a</html>", undefined],
		["an include", '<a>1<esi:include src="/x"/>2</a>', "<a>1[|/x]2</a>"],
		["beside the page", '<a><esi:include src="x"/></a>', "<a>[|/dir/x]</a>"],
		["on another host", '<a><esi:include src="http://h:1/x?y"/></a>', "<a>[h:1|/x?y]</a>"],
		[
			"with entities",
			"<a><esi:include src='/?a&amp;b&lt;&gt;&quot;&apos;&no;'/></a>",
			"<a>[|/?a&b<>\"'&no;]</a>",
		],
		["unquoted", "<a><esi:include src=/x /></a>", "<a>[|/x]</a>"],
		["with other attributes", '<a><esi:include foo="b" src="/x" alt=c /></a>', "<a>[|/x]</a>"],
		["over several lines", '<a><esi:include\r\n\tsrc="/x"\r\n/></a>', "<a>[|/x]</a>"],
		[
			"going on after a failure",
			"<a><esi:include onerror='continue' src='/x'/><esi:include src='/y'/>",
			"<a>[|/x+][|/y]",
		],
		["or not", '<a><esi:include src="/x" onerror="stop"/>', "<a>[|/x]"],
		["two in a row", '<esi:include src="/1"/><esi:include src="/2"/>', "[|/1][|/2]"],
		["remove", "<a>1<esi:remove>2<b>3</b></esi:remove>4</a>", "<a>14</a>"],
		["comment", '<a>1<esi:comment text="x"/>2</a>', "<a>12</a>"],
		["<!--esi is opened", '<a><!--esi 1<esi:include src="/x"/>2--></a>', "<a> 1[|/x]2</a>"],
		["<!--esi with dashes in it", "<a><!--esi 1-2--3-- >4--></a>", "<a> 1-2--3-- >4</a>"],
		[
			"another comment is left alone",
			'<a><esi:remove/><!-- <esi:include src="/x"/> --></a>',
			'<a><!-- <esi:include src="/x"/> --></a>',
		],
		["an empty comment", '<a><!----><esi:include src="/x"/></a>', "<a><!---->[|/x]</a>"],
		[
			"CDATA is left alone",
			'<a><esi:comment text=""/><![CDATA[<esi:include src="/x"/>]]></a>',
			'<a><![CDATA[<esi:include src="/x"/>]]></a>',
		],
		[
			"a tag in a tag is not seen",
			'<a href="<esi:include src=/x/>"><esi:comment text=""/>',
			'<a href="<esi:include src=/x/>">',
		],
	] as const)
		test(title, () => expect(of(page).sent).toBe(expected));

	test("an unclosed <!--esi alone makes no ESI page", () => expect(of("<a><!--esi 1").sent).toBeUndefined());
});

describe("what is wrong is told, and left out", () => {
	const include = "ESI 1.0 <esi:include>";
	for (const [page, expected, remark] of [
		['<a><esi:include src="/x">b', "<a>[|/x]b", `WARN after 3 ${include} lacks final '/'`],
		["<a><esi:include/>b", "<a>b", `ERR after 3 ${include} lacks src attr`],
		['<a><esi:include src="/x" src="/y"/>b', "<a>b", `ERR after 3 ${include} has multiple src= attributes`],
		['<a><esi:include src="/x y"/>b', "<a>b", `ERR after 3 ${include} has whitespace in src= attribute`],
		[
			'<a><esi:include src="/\x01"/>b',
			"<a>b",
			`ERR after 3 ${include} has a control character in src= attribute`,
		],
		['<a><esi:include src="http://h"/>b', "<a>b", `ERR after 3 ${include} invalid src= URL`],
		['<a><esi:include src="https://h/x"/>b', "<a>b", `WARN after 3 ${include} with https:// ignored`],
		['<a><esi:include src= "/x"/>b', "<a>b", "ERR after 3 XML 1.0 Illegal attribute delimiter"],
		["<a><esi:include src='/x>b", "<a>b", "ERR after 3 XML 1.0 Missing end attribute delimiter"],
		["<a><esi:include 1='/x'/>b", "<a>b", "ERR after 3 XML 1.0 Illegal attribute start char"],
		["<a><esi:include a!='/x'/>b", "<a>b", "ERR after 3 XML 1.0 Illegal attr char"],
		["<a><esi:include / >b", "<a>b", "ERR after 3 XML 1.0 '>' does not follow '/' in tag"],
		["<a></esi:include>b", "<a>b", "ERR after 3 ESI 1.0 </esi:include> illegal end-tag"],
		["<a></esi:comment>b", "<a>b", "ERR after 3 ESI 1.0 </esi:comment> illegal end-tag"],
		["<a><esi:comment>b", "<a>b", "ERR after 3 ESI 1.0 <esi:comment> needs final '/'"],
		["<a><esi:try>b", "<a>b", "ERR after 3 ESI 1.0 <esi:bogus> element"],
		["<a><esi:remove/>b", "<a>b", "ERR after 3 ESI 1.0 <esi:remove/> not legal"],
		["<a></esi:remove>b", "<a>b", "ERR after 3 ESI 1.0 <esi:remove> not open"],
		["<a><esi:remove><esi:remove>b</esi:remove>c", "<a>c", "ERR after 3 ESI 1.0 <esi:remove> already open"],
		[
			"<a><esi:remove><esi:include src='/x'/></esi:remove>c",
			"<a>c",
			`ERR after 3 ${include} element nested in <esi:remove>`,
		],
		[
			"<a><esi:remove><esi:comment text=''/></esi:remove>c",
			"<a>c",
			"ERR after 3 ESI 1.0 <esi:comment> element nested in <esi:remove>",
		],
		[
			"<a><esi:remove><!--esi x--></esi:remove>c",
			"<a>c",
			"ERR after 3 ESI 1.0 Nested <!--esi element in <esi:remove>",
		],
		["<a><esi:comment text=''/>b<es", "<a>b<es", "ERR after 25 VEP ended inside a tag"],
		["<a><esi:include src='/x", "<a>", "ERR after 3 VEP ended inside a tag"],
		["<a><esi:comment text=''/>b<esi:", "<a>b<esi:", "ERR after 25 VEP ended inside a tag"],
		["<a><esi:comment text=''/>b</esi:", "<a>b</esi:", "ERR after 25 VEP ended inside a tag"],
		["<a><esi:remove><esi:include", "<a>", "ERR after 3 VEP ended inside a tag"],
	] as const)
		test(page, () => expect(of(page)).toEqual({ sent: expected, remarks: [remark] }));

	test("an error in one tag is not the next one's", () => {
		const page = "<a><esi:include src='/x' !/><esi:include src='/y'/>";
		expect(of(page).sent).toBe("<a>[|/y]");
	});

	test("a src may have so many bytes", () => {
		const page = (bytes: number) => `<a><esi:include src="/${"x".repeat(bytes - 1)}"/>`;
		expect(of(page(SRC_BYTES)).remarks).toEqual([]);
		expect(of(page(SRC_BYTES + 1))).toEqual({
			sent: "<a>",
			remarks: [`ERR after 3 ${include} has more than ${SRC_BYTES} bytes in src= attribute`],
		});
	});

	test("a page may have so many includes", () => {
		const { steps, remarks } = parse(`<a>${'<esi:include src="/x"/>'.repeat(INCLUDE_LIMIT + 2)}`);
		expect(steps!.filter(({ kind }) => kind === "include")).toHaveLength(INCLUDE_LIMIT);
		expect(remarks).toHaveLength(2);
	});
});

describe("features", () => {
	const page = 'x<esi:include src="/x"/>';
	test("what does not begin with < is no page", () => {
		const remark = "No ESI processing, first char not '<'. (See feature esi_disable_xml_check)";
		expect(of(page)).toEqual({ sent: undefined, remarks: [remark] });
		expect(of(` \r\n\t${page.slice(1)}`).sent).toBe(" \r\n\t[|/x]");
	});
	test("esi_disable_xml_check", () => expect(of(page, { xmlCheck: false }).sent).toBe("x[|/x]"));
	test("esi_ignore_https", () => {
		const secure = '<a><esi:include src="https://h/x"/>';
		expect(of(secure, { ignoreHttps: true })).toEqual({
			sent: "<a>[h|/x]",
			remarks: ["WARN after 3 ESI 1.0 <esi:include> https:// treated as http://"],
		});
	});
	test("esi_ignore_other_elements", () => {
		const inside = "<a href=\"<esi:include src='/x'/>\">";
		expect(of(inside).sent).toBeUndefined();
		expect(of(inside, { ignoreOtherElements: true }).sent).toBe('<a href="[|/x]">');
	});
	test("esi_remove_bom", () => {
		for (const mark of ["\xef\xbb\xbf", "\xeb\xbb\xbf"]) {
			const marked = `${mark}<a><esi:include src="/x"/>`;
			expect(of(marked).remarks[0]).toContain("but BOM. (See feature esi_remove_bom)");
			expect(of(marked, { removeBom: true }).sent).toBe("<a>[|/x]");
		}
	});
});

/** Scraps of pages that tags are made of. */
const scraps = fc.array(
	fc.constantFrom(
		..."<>/-!=\"' \nx",
		...[
			"esi:",
			"<esi:",
			"</esi:",
			"include",
			"remove",
			"comment",
			"src=",
			"onerror=",
			"<!--esi",
			"<!--",
			"-->",
		],
		...[
			"<![CDATA[",
			"]]>",
			'<esi:include src="/x"/>',
			"<esi:remove>",
			"</esi:remove>",
			"http://",
			"https://h/",
		],
		...["\xef\xbb\xbf", "\xeb\xbb\xbf", "&amp;", "<a>"],
	),
	{ maxLength: 40 },
);
const anyRules = fc.record({
	xmlCheck: fc.boolean(),
	ignoreHttps: fc.boolean(),
	ignoreOtherElements: fc.boolean(),
	removeBom: fc.boolean(),
});

test("pieces of any size give what the whole gives", () => {
	fc.assert(
		fc.property(scraps, anyRules, fc.array(fc.nat(400), { maxLength: 60 }), (words, rules, cuts) => {
			const page = words.join("");
			const whole = parse(page, rules);
			expect(parse(page, rules, cuts)).toEqual(whole);
			expect(
				parse(
					page,
					rules,
					[...page].map((_, index) => index),
				),
			).toEqual(whole);
			sent(page, whole);
		}),
		{ numRuns: 3000 },
	);
});
