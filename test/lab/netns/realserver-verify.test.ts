/** `drover realserver verify`: what is right, what is wrong, and what nobody can tell. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, type Namespace, Network } from "./network.ts";

const drover = [process.execPath, join(import.meta.dir, "../../../firmware/drover.ts")];
const WEB = "10.9.0.2";

let network: Network;
let box: Namespace;
let directory: string;

beforeAll(async () => {
	directory = mkdtempSync(join(tmpdir(), "drover-verify-"));
	network = Network.create("verify");
	box = network.namespace("a");
	const web = network.namespace("b");
	const lan = network.segment("lan");
	lan.plug(box, "eth0", "10.9.0.1/24");
	lan.plug(web, "eth0", `${WEB}/24`);
	web.spawn(["socat", "TCP-LISTEN:80,fork,reuseaddr", "/dev/null"]);
	await eventually("it serves", () => box.try("socat", "-u", "/dev/null", `TCP:${WEB}:80`).status === 0);
});
afterAll(() => {
	network[Symbol.dispose]();
	rmSync(directory, { recursive: true, force: true });
});

const virtualServer = (mode: string, ...realServers: readonly string[]) => `virtual_server 10.9.0.100 80 {
	lb_algo wrr
	lb_kind ${mode}
	protocol TCP
${realServers.map((each) => `\treal_server ${each}`).join("\n")}
}
`;
const checked = "{\nTCP_CHECK {\nconnect_timeout 1\n}\n}";

async function verify(text: string): Promise<{ status: number; verdicts: string[]; lines: string[] }> {
	const file = join(directory, "keepalived.conf");
	writeFileSync(file, text);
	const call = async (...words: readonly string[]) => {
		const child = box.spawn([...drover, "realserver", "verify", file, ...words], { stderr: "inherit" });
		return { text: await new Response(child.stdout).text(), status: await child.exited };
	};
	const [json, plain] = await Promise.all([call("--json"), call()]);
	expect(json.status).toBe(plain.status);
	const { realServers } = JSON.parse(json.text) as {
		realServers: { realServer: string; verdict: string; detail: string }[];
	};
	return {
		status: plain.status,
		verdicts: realServers.map(({ verdict, detail }) => `${verdict}: ${detail}`),
		lines: plain.text.trimEnd().split("\n"),
	};
}

test("one that answers is right", async () => {
	expect(await verify(virtualServer("NAT", `${WEB} 80 ${checked}`))).toEqual({
		status: 0,
		verdicts: ["right: TCP_CHECK: connected"],
		lines: [
			expect.stringMatching(/^ok {5}.*\(NAT\) {2}TCP_CHECK: connected$/),
			"1 real server, as it should be",
		],
	});
}, 60_000);

test("one that does not is wrong; one that nothing asks is neither", async () => {
	const { status, verdicts, lines } = await verify(
		virtualServer("NAT", `${WEB} 80 ${checked}`, `${WEB} 81 ${checked}`, `${WEB} 82 {\n}`),
	);
	expect(verdicts).toEqual([
		"right: TCP_CHECK: connected",
		"wrong: TCP_CHECK: connection refused",
		"unknown: it has no check that asks over the network",
	]);
	expect([status, lines.at(-1)]).toEqual([
		1,
		"1 of 3 real servers is wrong, 1 of 3 real servers could not be asked",
	]);
	expect(lines[2]).toMatch(/^\? {6}/);
}, 60_000);

test("where there is no way to it, nobody can say that it accepts its virtual address", async () => {
	const { status, verdicts, lines } = await verify(virtualServer("DR", "10.66.0.1 80 {\n}"));
	expect(verdicts).toEqual(["unknown: no route to 10.66.0.1"]);
	expect([status, lines.at(-1)]).toEqual([1, "1 of 1 real server could not be asked"]);
}, 60_000);
