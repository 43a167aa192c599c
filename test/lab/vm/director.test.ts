/**
 * The booted image under real traffic: its own kernel, real sockets, no mocks. The oracle for the
 * kernel's table is ipvsadm(8).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { throttleText } from "../../../firmware/appliance/ssh-throttle.ts";
import { presetConfiguration } from "../../../image/lab/lab.ts";
import {
	count,
	countUndisturbed,
	type DirectorLab,
	directorLab,
	keep,
	realServer,
	reconfigure,
	servedBy,
	stopDirectorLab,
	until,
	virtualServer,
	vrrpState,
	vrrpStatus,
} from "./director-lab.ts";

const BOOT_LIMIT_MS = 400_000;
const TEST_LIMIT_MS = 240_000;
/** For what the configuration decides within a second or two, on a machine that may be busy. */
const PROMPT_LIMIT_MS = 15_000;

let drover: DirectorLab;

beforeAll(async () => {
	drover = await directorLab();
	await until("director a is master", 150_000, async () => (await vrrpState("a", "VI_1")) === "MASTER");
	await until("director a is IPv6 master", 60_000, async () => (await vrrpState("a", "VI_6")) === "MASTER");
	for (const name of ["80.201", "80.202", "80.203", "::201", "::202", "FWM"])
		await servedBy(name, 3, BOOT_LIMIT_MS / 4);
	await servedBy("80.204", 2);
}, BOOT_LIMIT_MS);

afterAll(stopDirectorLab, 60_000);

/** Everyone is answered, and each of these takes part. Once weights have changed the order is not exact. */
async function expectOnly(address: string, from: number, ...servers: readonly string[]): Promise<void> {
	const { answers, failures } = await count(drover.lab, address, 30, from);
	expect({ servers: Object.keys(answers).sort(), failures }).toEqual({ servers: [...servers], failures: {} });
}

describe("requests alternate as the weights say", () => {
	const cases: readonly (readonly [string, string, string, number])[] = [
		["direct routing", "192.168.80.201", "dr", 11],
		["masquerading", "192.168.80.202", "nat", 12],
		["tunnelling", "192.168.80.203", "tun", 13],
		["direct routing, IPv6", "fd00:80::201", "dr", 11],
		["masquerading, IPv6", "fd00:80::202", "nat", 12],
	];
	for (const [title, address, prefix, from] of cases)
		test(
			`wrr 3:2:1 over 600 requests, exactly: ${title}`,
			async () => {
				expect(await countUndisturbed(drover.lab, address, 600, [from, from + 10, from + 20])).toEqual({
					answers: { [`${prefix}1`]: 300, [`${prefix}2`]: 200, [`${prefix}3`]: 100 },
					failures: {},
				});
			},
			TEST_LIMIT_MS,
		);

	test(
		"a fwmark service, marked by nftables on the director",
		async () => {
			const { agent } = drover.lab.directors.a;
			await agent.run(`nft -f - <<END
table ip lab {
	chain incoming {
		type filter hook prerouting priority mangle
		ip daddr 192.168.80.206 tcp dport 80 meta mark set 6
	}
}
END`);
			expect(await countUndisturbed(drover.lab, "192.168.80.206", 60, [14, 24, 34])).toEqual({
				answers: { dr1: 30, dr2: 20, dr3: 10 },
				failures: {},
			});
		},
		TEST_LIMIT_MS,
	);

	test(
		"what is balanced on sshd's port is not counted among those who try passwords",
		async () => {
			const { agent } = drover.lab.directors.a;
			const ssh = { enabled: true, passwords: true, port: 80, sources: [] };
			const apply = (text: string) => agent.run(`nft -f - <<END\n${text}END`);
			await apply(throttleText(ssh, { free: 1, refill: "1/hour" }));
			try {
				for (const address of ["192.168.80.201", "192.168.80.202", "fd00:80::202"])
					expect((await countUndisturbed(drover.lab, address, 60, [15])).failures).toEqual({});
			} finally {
				await apply(throttleText({ ...ssh, enabled: false }));
			}
		},
		TEST_LIMIT_MS,
	);

	test(
		"the tutorial's pair shares evenly",
		async () => {
			await servedBy("80.200", 2);
			const { answers, failures } = await countUndisturbed(drover.lab, "192.168.80.200", 100, [15, 25, 35]);
			expect({ answers, failures }).toEqual({ answers: { web1: 50, web2: 50 }, failures: {} });
		},
		TEST_LIMIT_MS,
	);
});

describe("the kernel's table", () => {
	test("drover ipvs prints what ipvsadm -Ln prints", async () => {
		const { agent } = drover.lab.directors.a;
		// Connections come and go between two looks: those two columns are compared by their presence only.
		const without = (text: string) => text.replace(/ +\d+ +\d+ *$/gm, "").trimEnd();
		const [ours, theirs] = (await agent.run("drover ipvs; echo ====; ipvsadm -Ln")).split("====\n");
		expect(without(ours!).split("\n").slice(1)).toEqual(without(theirs!).split("\n").slice(1));
	});

	test("what drover ipvs --save prints, ipvsadm --restore reads", async () => {
		const { agent } = drover.lab.directors.a;
		const [saved, restored] = (
			await agent.run(
				`drover ipvs --save >/tmp/saved; cat /tmp/saved; echo ====
				ip netns add restored; ip -n restored link set lo up; ip netns exec restored ipvsadm --restore </tmp/saved
				ip netns exec restored ipvsadm -Sn; ip netns delete restored`,
			)
		).split("====\n");
		const sorted = (text: string) =>
			text
				.trim()
				.split("\n")
				.map((line) => line.trim())
				.sort();
		expect(sorted(restored!)).toEqual(sorted(saved!));
		expect(sorted(saved!).length).toBeGreaterThan(20);
	});
});

describe("real servers come and go", () => {
	test(
		"a dead web server leaves within its check's time and returns by itself",
		async () => {
			const [, , dr3] = drover.direct;
			await dr3!.kill();
			try {
				await until("dr3 is out", PROMPT_LIMIT_MS, async () => {
					const real = await realServer("80.201", "192.168.80.113");
					return real?.alive === false;
				});
				await expectOnly("192.168.80.201", 16, "dr1", "dr2");
			} finally {
				await dr3!.start();
			}
			await servedBy("80.201", 3, PROMPT_LIMIT_MS);
			await expectOnly("192.168.80.201", 16, "dr1", "dr2", "dr3");
		},
		TEST_LIMIT_MS,
	);

	test(
		"a connection survives a reload that does not concern it",
		async () => {
			const { ended } = await keep(drover.lab, "192.168.80.201", 5);
			await reconfigure(drover.lab, { quorumDelayLoop: 2 });
			expect(await ended).toMatchObject({ lines: 50, ended: "complete" });
			await reconfigure(drover.lab, {});
		},
		TEST_LIMIT_MS,
	);

	test(
		"a drained real server (weight 0) keeps its connections and gets no new ones",
		async () => {
			const kept = await Promise.all([1, 2, 3, 4, 5, 6].map(() => keep(drover.lab, "192.168.80.201", 7)));
			try {
				await reconfigure(drover.lab, { firstWeight: 0 });
				await until("dr1 has weight 0", PROMPT_LIMIT_MS, async () => {
					return (await realServer("80.201", "192.168.80.111"))?.weight === 0;
				});
				await expectOnly("192.168.80.201", 17, "dr2", "dr3");
				const ends = await Promise.all(kept.map(({ ended }) => ended));
				expect(ends.map(({ server }) => server)).toContain("dr1");
				for (const end of ends) expect(end).toMatchObject({ lines: 70, ended: "complete" });
			} finally {
				await reconfigure(drover.lab, {});
			}
			await until("dr1 has its weight again", PROMPT_LIMIT_MS, async () => {
				return (await realServer("80.201", "192.168.80.111"))?.weight === 3;
			});
		},
		TEST_LIMIT_MS,
	);

	test(
		"below its quorum the sorry server answers, and the pool returns with it",
		async () => {
			const [dr1] = drover.direct;
			await dr1!.kill();
			try {
				await until("on the sorry server", PROMPT_LIMIT_MS, async () => {
					return (await virtualServer("80.204"))?.onSorryServer;
				});
				await expectOnly("192.168.80.204", 18, "dr3");
			} finally {
				await dr1!.start();
			}
			await until("off the sorry server", PROMPT_LIMIT_MS, async () => {
				return (await virtualServer("80.204"))?.onSorryServer === false;
			});
			await expectOnly("192.168.80.204", 19, "dr1", "dr2");
			for (const name of ["80.201", "::201", "FWM"]) await servedBy(name, 3, PROMPT_LIMIT_MS);
		},
		TEST_LIMIT_MS,
	);
});

describe("the path check", () => {
	test(
		"a real server without the VIP is taken out though it answers on its own address",
		async () => {
			const [, dr2] = drover.direct;
			dr2!.host.run("ip address del 192.168.80.201/32 dev lo");
			try {
				const out = await until("dr2 is out", 2 * PROMPT_LIMIT_MS, async () => {
					const real = await realServer("80.201", "192.168.80.112");
					return real?.alive === false ? real : null;
				});
				expect(out.path).toMatchObject({ ok: false });
				expect(out.path!.detail).toContain("does not accept the VIP");
				expect(out.checks.every(({ up }) => up)).toBe(true);
				await expectOnly("192.168.80.201", 14, "dr1", "dr3");
			} finally {
				dr2!.host.run("ip address add 192.168.80.201/32 dev lo");
			}
			await servedBy("80.201", 3, 2 * PROMPT_LIMIT_MS);
		},
		TEST_LIMIT_MS,
	);

	test(
		"a real server that answers ARP for the VIP is named",
		async () => {
			const [dr1] = drover.direct;
			dr1!.host.run("echo 0 >/proc/sys/net/ipv4/conf/all/arp_ignore");
			const named = await until("dr1 is named", 45_000, async () => {
				const real = await realServer("80.201", "192.168.80.111");
				return real?.path?.detail.includes("answers ARP") ? real.path.detail : null;
			}).finally(() => dr1!.host.run("echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore"));
			expect(named).toContain("192.168.80.111");
			expect(named).toContain("52:54:00:80:21:00");
		},
		TEST_LIMIT_MS,
	);
});

describe("the master fails", () => {
	const answersFrom = async (from: number) => {
		const four = await count(drover.lab, "192.168.80.201", 6, from);
		const six = await count(drover.lab, "fd00:80::201", 6, from);
		return { failures: { ...four.failures, ...six.failures }, ...four.answers };
	};
	const state = (name: "a" | "b", wanted: string) => async () =>
		(await vrrpState(name, "VI_1")) === wanted && (await vrrpState(name, "VI_6")) === wanted;

	test(
		"kill -9 of its VRRP process: it is back and still master, the peer never notices",
		async () => {
			const { agent } = drover.lab.directors.a;
			const before = (await agent.run("cat /run/sv/vrrp/supervise/pid")).trim();
			await agent.run(`kill -9 ${before}`);
			await until("another process", PROMPT_LIMIT_MS, async () => {
				const pid = (await agent.run("cat /run/sv/vrrp/supervise/pid")).trim();
				return pid !== before && pid !== "" && pid !== "0";
			});
			await until("a is master", PROMPT_LIMIT_MS, state("a", "MASTER"));
			expect(await vrrpState("b", "VI_1")).toBe("BACKUP");
			expect(await answersFrom(11)).toMatchObject({ failures: {} });
		},
		TEST_LIMIT_MS,
	);

	const blows: readonly (readonly [string, () => Promise<void>, () => Promise<void>])[] = [
		[
			"its cable is pulled",
			() => drover.lab.directors.a.setCable("outside", false),
			() => drover.lab.directors.a.setCable("outside", true),
		],
		["it freezes", () => drover.lab.directors.a.freeze(), () => drover.lab.directors.a.thaw()],
		["it loses its power", () => drover.lab.directors.a.powerOff(), () => drover.lab.directors.a.powerOn()],
	];
	for (const [title, strike, heal] of blows)
		test(
			`${title}: the backup takes over, IPv4 and IPv6, and gives back`,
			async () => {
				await strike();
				await until("b is master", 2 * PROMPT_LIMIT_MS, state("b", "MASTER"));
				expect(await answersFrom(12)).toMatchObject({ failures: {} });
				await heal();
				await until("a is master again", TEST_LIMIT_MS, state("a", "MASTER"));
				await until("b gives back", PROMPT_LIMIT_MS, state("b", "BACKUP"));
				await servedBy("80.201", 3);
				await servedBy("::201", 3);
				expect(await answersFrom(13)).toMatchObject({ failures: {} });
			},
			2 * TEST_LIMIT_MS,
		);

	// The last one: the others have shown that a director that starts again becomes master again.
	test(
		"a clean halt: it resigns, and the backup does not wait until it is missed",
		async () => {
			const { a } = drover.lab.directors;
			const resignations = async () =>
				((await vrrpStatus("b"))?.instances ?? []).map(
					({ counters }) => counters["priorityZeroReceived"] ?? 0,
				);
			const before = await resignations();
			expect(before.length).toBe(2);
			await a.agent.run("(sleep 1; poweroff) >/dev/null 2>&1 &");
			await until("b is master", 4 * PROMPT_LIMIT_MS, state("b", "MASTER"));
			expect((await resignations()).every((count, index) => count > before[index]!)).toBe(true);
			expect(await answersFrom(12)).toMatchObject({ failures: {} });
			await until("a is off", TEST_LIMIT_MS / 2, () => !a.isOn);
		},
		TEST_LIMIT_MS,
	);
});

test("the tutorial's file that make run uses differs between the directors in state and priority only", () => {
	const [a, b] = (["a", "b"] as const).map((name) =>
		presetConfiguration(name)["keepalived.conf"]!.split("\n"),
	);
	const different = a!
		.map((line, index) => [line.trim(), b![index]!.trim()])
		.filter(([one, two]) => one !== two);
	expect(different).toEqual([
		["state MASTER", "state BACKUP"],
		["priority 100", "priority 99"],
	]);
});
