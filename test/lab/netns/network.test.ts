/** The tests' own networks: what a killed run left behind is swept by the next one. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { eventually, Network } from "./network.ts";

const namespaces = (pid: number) =>
	existsSync("/run/netns")
		? readdirSync("/run/netns").filter((name) => name.startsWith(`drover-${pid}-`))
		: [];

test("a disposed network leaves no namespace and no process", async () => {
	let pid: number;
	{
		using network = Network.create("net");
		const host = network.namespace("host");
		network.segment("lan").plug(host, "eth0", "10.0.0.1/24");
		const child = host.spawn(["sleep", "60"]);
		pid = child.pid;
		expect(namespaces(process.pid)).toHaveLength(2);
	}
	expect(namespaces(process.pid)).toEqual([]);
	await eventually("the process to end", () => !existsSync(`/proc/${pid}`));
});

test("a killed run's namespaces and processes are swept by the next run", async () => {
	const script = `
		const { Network } = await import("${import.meta.dir}/network.ts");
		const host = Network.create("net").namespace("host");
		const child = host.spawn(["sleep", "60"]);
		console.log(child.pid);
		await Bun.sleep(60_000);
	`;
	const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
	const { value } = await child.stdout.getReader().read();
	const grandchild = Number(new TextDecoder().decode(value));
	expect(namespaces(child.pid)).toHaveLength(1);
	child.kill("SIGKILL");
	await child.exited;
	expect(namespaces(child.pid)).toHaveLength(1);
	using network = Network.create("net");
	expect(namespaces(child.pid)).toEqual([]);
	await eventually("the process to end", () => !existsSync(`/proc/${grandchild}`));
	network.dispose();
});
