/**
 * Torn pages with ESI tags, to both daemons: what a client is sent of them, and what is said of them in the log.
 *
 *   bun test/conformance/esi-storm.ts [SEED] [PAGES]
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { Random } from "../fuzz/mutate.ts";
import { drover, startCache, stock } from "./caches.ts";
import { stormDirectory } from "./storm.ts";

const [seedText = "1", pagesText = "400"] = process.argv.slice(2);
const random = new Random(Number(seedText));

const scraps = [
	...["<", ">", "/", "/>", "-", "--", "-->", "=", '"', "'", " ", "\n", "x", "text ", "<p>", "</p>", "é"],
	...[
		"<esi:",
		"</esi:",
		"esi:",
		"include",
		"remove",
		"comment",
		"bogus",
		' src="/part"',
		" src=/part ",
		" src='/part'",
	],
	...[
		"<!--esi ",
		"<!--",
		"<!---->",
		"<![CDATA[",
		"]]>",
		" alt='a>b'",
		' onerror="continue"',
		"http://h/",
		"https://h/part",
	],
	...[
		'<esi:include src="/part"/>',
		"<esi:remove>",
		"</esi:remove>",
		'<esi:comment text="c"/>',
		'<esi:include src="part">',
	],
	...[
		'<esi:include src="/part?a&amp;b"/>',
		"<esi:include src='/part' src='/part'/>",
		'<esi:include src="/pa rt"/>',
	],
];
const pages = new Map<string, { readonly text: string; readonly packed: boolean }>();
for (let each = 0; each < Number(pagesText); each++) {
	let text = random.below(10) === 0 ? "" : "<html>";
	for (let left = 1 + random.below(14); left > 0; left--) text += random.pick(scraps);
	pages.set(`/page-${each}`, { text, packed: random.below(3) === 0 });
}

const origin = Bun.serve({
	port: 0,
	hostname: "127.0.0.1",
	fetch(request) {
		const { pathname, search } = new URL(request.url);
		const page = pages.get(pathname);
		if (page === undefined) return new Response(`[${pathname}${search}]`);
		const bytes = Buffer.from(page.text, "latin1");
		return page.packed
			? new Response(gzipSync(bytes), { headers: { "content-encoding": "gzip" } })
			: new Response(bytes);
	},
});

const directory = stormDirectory("esi");
const vcl = join(directory, "storm.vcl");
await Bun.write(
	vcl,
	`vcl 4.1; backend default { .host = "127.0.0.1"; .port = "${origin.port}"; }
	sub vcl_recv { set req.http.host = "h"; }
	sub vcl_backend_response { set beresp.do_esi = bereq.url ~ "page"; }`,
);

/** By page: the body, plain and packed, and the remarks, without their places in packed ones (which are of packed bytes). */
async function outcomes(command: readonly string[], features: string): Promise<Map<string, string>> {
	const cache = await startCache(command, 0, [
		"-f",
		vcl,
		...(features === "" ? [] : ["-p", `feature=${features}`]),
	]);
	const found = new Map<string, string>();
	try {
		for (const [url] of pages) {
			let said = "";
			for (const coding of ["identity", "gzip"]) {
				const answer = await fetch(`http://127.0.0.1:${cache.port}${url}`, {
					headers: { "accept-encoding": coding },
					decompress: false,
				} as RequestInit);
				const bytes = Buffer.from(await answer.arrayBuffer());
				const packed = answer.headers.get("content-encoding") === "gzip";
				said += `${answer.status} ${(packed ? gunzipSync(bytes) : bytes).toString("latin1")}\n`;
			}
			found.set(url, said);
		}
		await Bun.sleep(500);
		const urls = new Map<string, string>();
		for (const line of (await cache.log()).split("\n")) {
			const [, id, tag, , text] = /^ *(\d+) +(\S+) +([bc-]) (.*)$/.exec(line) ?? [];
			if (tag === "BereqURL") urls.set(id!, text!);
			if (tag !== "ESI_xmlerror") continue;
			const url = urls.get(id!)!;
			const remark = pages.get(url)?.packed ? text!.replace(/after \d+/, "after") : text;
			found.set(url, `${found.get(url)}${remark}\n`);
		}
	} finally {
		await cache.stop();
	}
	return found;
}

let differences = 0;
for (const features of ["", "+esi_disable_xml_check,+esi_ignore_https,+esi_ignore_other_elements"]) {
	const theirs = await outcomes(stock, features);
	const ours = await outcomes(drover, features);
	for (const [url, { text }] of pages) {
		if (theirs.get(url) === ours.get(url)) continue;
		differences++;
		console.log(
			`${JSON.stringify(text)} ${features}\n varnishd: ${theirs.get(url)}\n drover:   ${ours.get(url)}`,
		);
	}
}
console.log(`seed ${seedText}: ${pages.size * 2} pages, ${differences} differ`);
origin.stop(true);
rmSync(directory, { recursive: true, force: true });
process.exit(differences === 0 ? 0 : 1);
