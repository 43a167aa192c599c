/** The stock program as an oracle of meaning: runs expressions in vcl_recv of a varnishd and reads the results. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { probe } from "./expressions.ts";

export const declarations = `
import std;
import blob;
import cookie;
acl local { "127.0.0.1"; }
acl negative { "127.0.0.0"/8; ! "127.0.0.1"; }
acl nobody { }
acl nets { "10.0.0.0"/8; ! "10.1.0.0"/16; "10.1.2.3"; "192.168"; "2001:db8::"/32; ! "2001:db8:1::"/48; }
`;

/** The statements that put result number `index` into a request header. */
export function statementFor(expression: string, index: number): string {
	const condition = /^__IF__(.*)__$/s.exec(expression);
	if (condition !== null)
		return `if (${condition[1]}) { set req.http.r${index} = "[yes]"; } else { set req.http.r${index} = "[no]"; }`;
	return `set req.http.r${index} = "[" + (${expression}) + "]";`;
}

export function programFor(expressions: readonly string[]): string {
	return `${declarations}
sub vcl_recv {
	cookie.parse(req.http.cookie);
	${expressions.map(statementFor).join("\n\t")}
	return (synth(200));
}
sub vcl_synth {
	${expressions.map((_each, index) => `set resp.http.r${index} = req.http.r${index};`).join("\n\t")}
	return (deliver);
}
`;
}

/** The test client takes no more than 64 header fields. */
const perRun = 40;

/** Results in order; null where the program gave none. */
export async function runStock(expressions: readonly string[]): Promise<(string | null)[]> {
	const results: (string | null)[] = [];
	for (let at = 0; at < expressions.length; at += perRun)
		results.push(...(await runSome(expressions.slice(at, at + perRun))));
	return results;
}

async function runSome(expressions: readonly string[]): Promise<(string | null)[]> {
	const folder = mkdtempSync(join(tmpdir(), "drover-vcl-run-"));
	try {
		const headers = Object.entries(probe.headers)
			.map(([name, value]) => `-hdr ${JSON.stringify(`${name}: ${value}`)}`)
			.join(" ");
		const test = `varnishtest "expressions"
server s1 { rxreq; txresp } -start
varnish v1 -arg "-p vcc_err_unref=off" -arg "-p workspace_client=1m" -arg "-p http_max_hdr=512" -arg "-p http_resp_hdr_len=64k" -arg "-p http_resp_size=256k" -vcl+backend {
${programFor(expressions)}
} -start
client c1 {
	txreq -url ${JSON.stringify(probe.url)} -nohost ${headers}
	rxresp
} -run
`;
		const file = join(folder, "run.vtc");
		writeFileSync(file, test);
		const run = Bun.spawn(["varnishtest", "-v", "-b", "10M", file], {
			stdout: "pipe",
			stderr: "pipe",
			env: { ...process.env, TMPDIR: folder },
		});
		const log = await new Response(run.stdout).text();
		if ((await run.exited) !== 0)
			throw new Error(
				`varnishtest failed:\n${log
					.split("\n")
					.filter((line) => /CLI RX|FAIL|\bc1\b/.test(line))
					.join("\n")
					.slice(-2000)}`,
			);
		const results: (string | null)[] = expressions.map(() => null);
		for (const match of log.matchAll(/\bc1\s+http\[ ?\d+\] \|r(\d+): \[(.*)\]$/gm))
			results[Number(match[1])] = match[2]!;
		return results;
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}
