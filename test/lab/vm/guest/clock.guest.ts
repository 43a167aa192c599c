/**
 * The clock is set, by the NTP client as the image runs it and by hand, on a box that is master and
 * checks servers: election and checks go by the monotonic clock and notice nothing.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ntpConfiguration } from "../../../../firmware/appliance/ntp-configuration.ts";
import { call, subscribe } from "../../../../firmware/bus/client.ts";
import { parseClockStatus } from "../../../../firmware/status/clock.ts";
import type { DirectorEvent, DirectorStatus } from "../../../../firmware/status/director.ts";
import type { VrrpEvent, VrrpStatus } from "../../../../firmware/status/vrrp.ts";
import { createLan, Host, run, sh, until } from "./box.ts";

const project = new URL("../../../..", import.meta.url).pathname;
const HOUR_SECONDS = 3_600;
const ADVERT_MS = 100;
const directory = mkdtempSync("/tmp/clock-");
const children: Bun.Subprocess[] = [];
const events: (VrrpEvent | DirectorEvent)[] = [];
const ends: (() => void)[] = [];

const instance = (priority: number, device: string) => `vrrp_instance VI_1 {
	interface ${device}
	virtual_router_id 51
	version 3
	priority ${priority}
	advert_int ${ADVERT_MS / 1000}
	virtual_ipaddress { 10.9.0.100/24 dev ${device} }
}
`;

function start(name: string, namespace: string | null, words: readonly string[]): void {
	const environment = {
		...process.env,
		DROVER_RUN_DIR: join(directory, name),
		DROVER_LOG: join(directory, `${name}.log`),
	};
	const command = [process.execPath, `${project}/firmware/drover.ts`, ...words];
	children.push(
		Bun.spawn(namespace === null ? command : ["ip", "netns", "exec", namespace, ...command], {
			stdio: ["ignore", "ignore", "inherit"],
			env: environment,
		}),
	);
}

beforeAll(async () => {
	createLan("10.9.0.1/24");
	const peer = new Host("peer", "10.9.0.2/24");
	writeFileSync(
		join(directory, "a.conf"),
		`${instance(200, "lan")}virtual_server 10.9.0.100 80 {
	delay_loop 1
	lb_algo rr
	lb_kind NAT
	protocol TCP
	real_server 10.9.0.2 80 { TCP_CHECK { connect_timeout 1 } }
}
`,
	);
	writeFileSync(join(directory, "b.conf"), instance(100, "eth0"));
	children.push(peer.spawn("socat", "TCP-LISTEN:80,fork,reuseaddr", "/dev/null"));
	const server = peer.spawn(
		process.execPath,
		`${project}/test/lab/vm/guest/time-server.ts`,
		"10.9.0.2",
		String(HOUR_SECONDS),
	);
	children.push(server);
	await server.stdout.getReader().read();
	start("a", null, ["vrrp", "-f", join(directory, "a.conf")]);
	start("a", null, ["director", "-f", join(directory, "a.conf")]);
	start("b", "peer", ["vrrp", "-f", join(directory, "b.conf")]);
	process.env["DROVER_RUN_DIR"] = join(directory, "a");
	const steady = async () => {
		const vrrp = await call<VrrpStatus>("vrrp", "status");
		const director = await call<DirectorStatus>("director", "status");
		return vrrp.instances[0]!.state === "MASTER" && director.virtualServers[0]!.aliveRealServers === 1;
	};
	await until("master, and the real server is in", steady);
	// While both start, the peer may have been first; what counts is what it sees from here on.
	await until("the peer is backup", async () => (await peerInstance()).state === "BACKUP");
	peerMasterTerms = (await peerInstance()).counters["becameMaster"]!;
	for (const service of ["vrrp", "director"])
		ends.push(subscribe(service, (event) => events.push(event as VrrpEvent)));
	await Bun.sleep(5 * ADVERT_MS);
}, 120_000);

afterAll(() => {
	for (const end of ends) end();
	for (const child of children) child.kill("SIGKILL");
});

let peerMasterTerms = 0;

/** How the peer sees the instance. */
async function peerInstance(): Promise<VrrpStatus["instances"][number]> {
	const own = process.env["DROVER_RUN_DIR"];
	process.env["DROVER_RUN_DIR"] = join(directory, "b");
	try {
		return (await call<VrrpStatus>("vrrp", "status")).instances[0]!;
	} finally {
		process.env["DROVER_RUN_DIR"] = own;
	}
}

/** Adverts that went out, by the service's own count. */
const adverts = async () =>
	(await call<VrrpStatus>("vrrp", "status")).instances[0]!.counters["advertisementsSent"]!;

/** Whatever `work` does to the clock: adverts go on at their pace, and nobody sees an event. */
async function undisturbed(work: () => Promise<void>): Promise<void> {
	const [before, startedAt] = [await adverts(), performance.now()];
	await work();
	await Bun.sleep(20 * ADVERT_MS);
	const passedMs = performance.now() - startedAt;
	const sent = (await adverts()) - before;
	expect(events).toEqual([]);
	expect(sent).toBeGreaterThan((passedMs / ADVERT_MS) * 0.8);
	expect(sent).toBeLessThan((passedMs / ADVERT_MS) * 1.2 + 2);
}

test("the NTP client steps a clock that is an hour behind, and says that it follows", async () => {
	const configuration = join(directory, "ntpd.conf");
	writeFileSync(configuration, ntpConfiguration(["10.9.0.2"]));
	sh("mkdir -p /run/openntpd");
	const offsetSeconds = () => (Date.now() - performance.now() - wallMinusMonotonic) / 1000;
	const wallMinusMonotonic = Date.now() - performance.now();
	await undisturbed(async () => {
		// As the image's run script has it.
		children.push(
			Bun.spawn(["ntpd", "-d", "-s", "-f", configuration, "-p", "/run/ntpd.pid"], {
				stdio: ["ignore", "ignore", "ignore"],
			}),
		);
		await until("the clock is set", () => offsetSeconds() > HOUR_SECONDS - 60);
	});
	const clock = parseClockStatus(run("ntpctl", "-s", "status"));
	expect(clock).toMatchObject({ peers: 1 });
});

test.each([
	["a day forward", 24 * HOUR_SECONDS],
	["two days back", -48 * HOUR_SECONDS],
])("%s, by hand", async (_words, seconds) => {
	await undisturbed(async () => {
		sh(`date -s @$(( $(date +%s) + ${seconds} )) >/dev/null`);
	});
});

test("the peer has seen nothing either", async () => {
	const instance = await peerInstance();
	expect(instance).toMatchObject({ state: "BACKUP" });
	expect(instance.counters["becameMaster"]).toBe(peerMasterTerms);
});
