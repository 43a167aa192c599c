/**
 * A card dies, and the configuration goes on being changed: what is in force names its interface, so a file that does is
 * taken over, and what is on it waits. A name that nothing in force has is a slip of the hand, and is refused.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call } from "../../../firmware/bus/client.ts";
import type { DirectorStatus } from "../../../firmware/status/director.ts";
import type { VrrpStatus } from "../../../firmware/status/vrrp.ts";
import { eventually, type Namespace, Network, type Segment } from "./network.ts";

const drover = [process.execPath, join(import.meta.dir, "../../../firmware/drover.ts")];
const instance = (name: string, vrid: number, networkInterface: string, addresses: readonly string[]) => `
vrrp_instance ${name} {
    interface ${networkInterface}
    version 3
    advert_int 0.1
    virtual_router_id ${vrid}
    priority 200
    virtual_ipaddress {
        ${addresses.join("\n        ")}
    }
}
`;
const servers = (count: number) => `
virtual_server 10.9.0.100 80 {
    protocol TCP
    lb_algo rr
    lb_kind NAT
    ${Array.from({ length: count }, (_, index) => `real_server 10.9.0.${index + 1} 80 {\n    }`).join("\n    ")}
}
`;
const second = (addresses: readonly string[]) => instance("VI_2", 52, "eth1", addresses);

describe.each([
	["Drover", [...drover, "keepalived"]],
	["keepalived, whose behaviour it is", ["keepalived", "--vrrp"]],
] as const)("%s", (who, command) => {
	let network: Network;
	let box: Namespace;
	let folder: string;
	let send: (signal: "SIGHUP") => void;
	const path = (name: string) => join(folder, name);
	const write = (text: string) => writeFileSync(path("keepalived.conf"), text);
	const environment = () => ({ ...process.env, DROVER_RUN_DIR: folder, DROVER_LOG: path("log") });
	let other: Segment;
	const plug = () => other.plug(box, "eth1", "10.9.1.1/24");
	const holds = (name: string, address: string) =>
		eventually(`${address} on ${name}`, () => box.addresses(name).includes(address));

	beforeAll(async () => {
		network = Network.create("gone");
		box = network.namespace("a");
		folder = mkdtempSync(join(tmpdir(), "drover-gone-"));
		network.segment("lan").plug(box, "eth0", "10.9.0.1/24");
		other = network.segment("other");
		plug();
		write(instance("VI_1", 51, "eth0", ["10.9.0.100/24"]) + second(["10.9.1.100/24"]) + servers(1));
		const files = ["-p", path("a.pid"), "-r", path("b.pid"), "-c", path("c.pid")];
		const child = box.spawn([...command, "-n", "-f", path("keepalived.conf"), ...files], {
			env: environment(),
		});
		send = (signal) => child.kill(signal);
		process.env["DROVER_RUN_DIR"] = folder;
		await holds("eth0", "10.9.0.100/24");
		await holds("eth1", "10.9.1.100/24");
	});
	afterAll(() => {
		network[Symbol.dispose]();
		rmSync(folder, { recursive: true, force: true });
	});

	test("the card dies, and a file that still names it is taken over", async () => {
		box.ip("link", "del", "eth1");
		write(
			instance("VI_1", 51, "eth0", ["10.9.0.100/24", "10.9.0.101/24"]) +
				second(["10.9.1.100/24", "10.9.1.101/24"]) +
				servers(2),
		);
		send("SIGHUP");
		await holds("eth0", "10.9.0.101/24");
	}, 30_000);

	if (who === "Drover") {
		const check = (action: string) => {
			const child = Bun.spawnSync(box.command([...drover, "config", action, path("keepalived.conf")]), {
				env: environment(),
			});
			return [child.exitCode, child.stdout.toString()] as const;
		};
		const log = () => readFileSync(path("log"), "utf8");
		const vrrp = () => call<VrrpStatus>("vrrp", "status");
		const director = () => call<DirectorStatus>("director", "status");

		test("by the director, too; the instance is in FAULT, and everybody says why", async () => {
			await eventually("the director's second server", async () => {
				const { virtualServers } = await director();
				return virtualServers[0]?.realServers.length === 2;
			});
			const { instances } = await vrrp();
			expect(instances.map(({ name, state, reason }) => [name, state, reason])).toEqual([
				["VI_1", "MASTER", expect.anything()],
				["VI_2", "FAULT", "there is no interface eth1"],
			]);
			const said = log().match(/^.*"?VI_2: there is no interface eth1 on this machine/gm) ?? [];
			expect(said.length).toBeGreaterThanOrEqual(2);
			expect(log()).not.toContain("not taken over");
			const [status, text] = check("check");
			expect(status).toBe(5);
			expect(text).toContain("warning: VI_2: there is no interface eth1 on this machine\n");
			expect(text).toContain("lost: VI_2 waits until eth1 appears\n");
			expect(text).toEndWith("0 errors, 1 warning, 0 hints; accepted\n");
			const shown = Bun.spawnSync([...drover, "config", "show"], { env: environment() }).stdout.toString();
			expect(shown).toMatch(/^VI_2: VRRPv3 52 on eth1, priority 200/m);
			expect(shown).toContain("10.9.0.2:80 weight 1");
			const [planned, plan] = check("plan");
			expect(planned).toBe(0);
			expect(plan).toContain("lost: VI_2 waits until eth1 appears\n");
			expect(plan).toEndWith("nothing would change\n");
		});

		test("a name that nothing in force has is refused by both, which say what to do", async () => {
			const before = readFileSync(path("keepalived.conf"), "utf8");
			write(before.replace("interface eth0", "interface eht0"));
			const [status, text] = check("check");
			expect(status).toBe(5);
			expect(text).toContain("error: VI_1: there is no interface eht0 on this machine\n");
			expect(text).toContain(
				'    interfaces here: eth0; "dynamic_interfaces" in global_defs is for one that',
			);
			expect(text).toEndWith("a running director would refuse it\n");
			expect(check("plan")[0]).toBe(5);
			send("SIGHUP");
			await eventually(
				"both refuse it",
				() => log().match(/not taken over: .*eht0 on this machine; interfaces here: eth0/g)?.length === 2,
			);
			expect((await director()).reload?.ok).toBe(false);
			expect((await vrrp()).instances[0]!.interface).toBe("eth0");
			write(before);
		}, 30_000);

		test("a revision that is taken back to was judged when it was committed: both take it", async () => {
			const before = readFileSync(path("keepalived.conf"), "utf8");
			write(before + instance("VI_3", 53, "eth9", ["10.9.3.100/24"]));
			await call("director", "reload", { judged: true });
			expect(await call<unknown>("vrrp", "reload", { judged: true })).toEqual({ accepted: true });
			expect((await vrrp()).instances.map(({ name }) => name)).toContain("VI_3");
			write(before);
			send("SIGHUP");
			await eventually("VI_3 is gone", async () => (await vrrp()).instances.length === 2);
		}, 30_000);
	}

	test("it comes back with what the new file says", async () => {
		plug();
		await holds("eth1", "10.9.1.101/24");
	}, 30_000);
});
