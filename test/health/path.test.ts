/** The path check's decisions and packets, and who counts as claiming a VIP: tables and round trips. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Forwarding } from "../../firmware/config/model.ts";
import { encapsulate, readReply, resetPacket, synPacket } from "../../firmware/health/path-packet.ts";
import {
	askAgain,
	NEXT_SERVICE_AFTER_MS,
	newPath,
	type Path,
	type PathAnswer,
	stepPath,
} from "../../firmware/health/path-verdict.ts";
import { pathTargets } from "../../firmware/health/path-watch.ts";
import {
	ageClaims,
	CLAIM_CONFIRMED_AFTER_MS,
	CLAIM_OVER_AFTER_MS,
	type ClaimView,
	conflictsOf,
	hearClaim,
	noClaims,
} from "../../firmware/health/vip-claims.ts";
import { parseAddress } from "../../firmware/wire/ip.ts";
import { decodeIpPacket, encodeIpPacket } from "../../firmware/wire/ip-packet.ts";
import { decodeTcp, encodeTcp, TCP_ACK, TCP_RST, TCP_SYN } from "../../firmware/wire/tcp.ts";
import { check, realServer, target, virtualServer } from "./fixtures.ts";

const rules = { periodMs: 6_000, anyAnswerWill: false, services: 1, startsDown: false };
const answers: Record<string, PathAnswer> = {
	"+": { kind: "accepted" },
	R: { kind: "refused" },
	s: { kind: "silent" },
	u: { kind: "unresolved", nextHop: "10.0.0.2" },
	i: { kind: "impossible", detail: "no route" },
};

/** "in 6 s" is the wait after an answer, "!" that the server is out after it. */
function play(path: Path, script: string): string {
	return [...script]
		.map((letter) => {
			const result = stepPath(path, answers[letter]!, "10.0.0.9:80");
			path = result.path;
			return `${letter}${result.nextInMs / 1000}${path.ok ? "" : "!"}`;
		})
		.join(" ");
}

describe("path verdict", () => {
	test.each([
		["three silences in a row take a server out", newPath(rules), "+sss", "+6 s0.1 s0.1 s6!"],
		[
			"an answer in between begins the count again",
			newPath(rules),
			"+ss+ss+",
			"+6 s0.1 s0.1 +6 s0.1 s0.1 +6",
		],
		["one answer brings it back", newPath(rules), "ssss+", "s0.1 s0.1 s6! s6! +6"],
		["RST: the VIP is there, the port is closed; twice", newPath(rules), "+RRR+", "+6 R1 R6! R6! +6"],
		["no ARP is as bad as silence", newPath(rules), "+uuu", "+6 u0.1 u0.1 u6!"],
		["what cannot be asked is not held against it", newPath(rules), "sssi", "s0.1 s0.1 s6! i6"],
		["alpha: out until the first answer", newPath({ ...rules, startsDown: true }), "s+", "s0.1! +6"],
		[
			"back from the dead: out until the VIP has answered",
			askAgain(stepPath(newPath(rules), answers["+"]!, "").path),
			"s+",
			"s0.1! +6",
		],
		[
			"UDP: any answer will, silence proves nothing",
			newPath({ ...rules, anyAnswerWill: true }),
			"RssssR",
			"R6 s6 s6 s6 s6 R6",
		],
	] as const)("%s", (_title, path, script, expected) => {
		expect(play(path, script)).toBe(expected);
	});
	test("several VIPs take turns; the one that fails is asked again", () => {
		let path = newPath({ ...rules, services: 3 });
		const order: number[] = [];
		for (const letter of "++ss+++") {
			order.push(path.service);
			path = stepPath(path, answers[letter]!, "").path;
		}
		expect(order).toEqual([0, 1, 2, 2, 2, 0, 1]);
	});
	test("a transition is told exactly when the verdict changes", () => {
		fc.assert(
			fc.property(
				fc.boolean(),
				fc.array(fc.constantFrom(..."+Rsui"), { maxLength: 40 }),
				(startsDown, letters) => {
					let path = newPath({ ...rules, startsDown });
					for (const letter of letters) {
						const result = stepPath(path, answers[letter]!, "x");
						expect(result.transition?.ok).toBe(result.path.ok === path.ok ? undefined : result.path.ok);
						expect(result.nextInMs).toBeGreaterThanOrEqual(100);
						path = result.path;
					}
				},
			),
		);
	});
});

describe("what is asked", () => {
	const dr = { kind: "DR" } as const;
	const tcp = check("TCP_CHECK", { target: target(8080) });
	const ask = (change: Parameters<typeof virtualServer>[3], forwarding: Forwarding = dr, port = 80) => {
		const rs = realServer("10.0.0.2", port, [tcp], { forwarding });
		return pathTargets(virtualServer("10.0.0.9", 80, [rs], { pathCheck: true, ...change }), rs).map(
			(each) => `${each.vip}:${each.port}`,
		);
	};
	test("DR and TUN, every address of the virtual server; nothing for NAT, fwmark, SCTP, or when turned off", () => {
		expect(ask({})).toEqual(["10.0.0.9:80"]);
		expect(ask({}, { kind: "TUN", tunnel: "ipip", port: 0, checksum: "none" })).toEqual(["10.0.0.9:80"]);
		expect(ask({}, { kind: "NAT" })).toEqual([]);
		expect(ask({ pathCheck: false })).toEqual([]);
		expect(ask({ protocol: "SCTP" })).toEqual([]);
		expect(ask({ services: [{ kind: "fwmark", fwmark: 1, family: "inet" }] })).toEqual([]);
		const service = (address: string) => ({ kind: "address", address, family: "inet", port: 80 }) as const;
		expect(ask({ services: [service("10.0.0.9"), service("10.0.0.8")] })).toEqual([
			"10.0.0.9:80",
			"10.0.0.8:80",
		]);
	});
	test("a service on all ports is asked on a port that is checked", () => {
		const all = [{ kind: "address", address: "10.0.0.9", family: "inet", port: 0 }] as const;
		expect(ask({ services: all }, dr, 0)).toEqual(["10.0.0.9:8080"]);
		expect(ask({ services: all }, dr, 443)).toEqual(["10.0.0.9:443"]);
	});
});

const question = (v6: boolean, sequence = 0xffffffff) => ({
	source: parseAddress(v6 ? "fd00::1" : "10.0.0.1")!,
	sourcePort: 40_000,
	vip: parseAddress(v6 ? "fd00::9" : "10.0.0.9")!,
	port: 80,
	sequence,
});

/** What a server's stack sends back. */
function reply(packet: Uint8Array, flags: number): Uint8Array {
	const ip = decodeIpPacket(packet)!;
	const tcp = decodeTcp(ip.payload, { source: ip.source, destination: ip.destination })!;
	const segment = encodeTcp(
		{
			sourcePort: tcp.destinationPort,
			destinationPort: tcp.sourcePort,
			sequence: 7,
			acknowledgement: (tcp.sequence + 1) >>> 0,
			flags,
			window: 1,
			maximumSegmentSizeBytes: null,
			payload: new Uint8Array(0),
		},
		ip.destination,
		ip.source,
	);
	return encodeIpPacket(
		{
			source: ip.destination,
			destination: ip.source,
			hopLimit: 64,
			protocol: 6,
			trafficClass: 0,
			identification: 0,
		},
		segment,
	);
}

describe("packets", () => {
	test.each([false, true])("IPv6 %p: a SYN, its answers, and the RST that closes", (v6) => {
		const syn = synPacket(question(v6));
		const ip = decodeIpPacket(syn)!;
		expect(decodeTcp(ip.payload, { source: ip.source, destination: ip.destination })).toMatchObject({
			flags: TCP_SYN,
			sequence: 0xffffffff,
			destinationPort: 80,
		});
		expect(readReply(reply(syn, TCP_SYN | TCP_ACK))).toMatchObject({
			kind: "accepted",
			sequence: 0xffffffff,
			port: 80,
			destinationPort: 40_000,
		});
		expect(readReply(reply(syn, TCP_RST | TCP_ACK))?.kind).toBe("refused");
		expect(readReply(reply(syn, TCP_ACK))).toBeNull();
		expect(readReply(reply(syn, TCP_SYN))).toBeNull();
		const reset = decodeIpPacket(resetPacket(question(v6)))!;
		expect(decodeTcp(reset.payload)).toMatchObject({ flags: TCP_RST, sequence: 0 });
	});
	test("any bytes are an answer or not", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
				readReply(bytes);
				if (bytes.length > 0) {
					bytes[0] = 0x45;
					readReply(bytes);
				}
			}),
			{ numRuns: 300 },
		);
	});
	test("IPIP, GRE (RFC 2784) and GUE carry the packet whole", () => {
		const inner = synPacket(question(false));
		const tunnel = (kind: "ipip" | "gre" | "gue", checksum: "none" | "csum" = "none") =>
			encapsulate(inner, { kind: "TUN", tunnel: kind, port: 6080, checksum });
		expect(tunnel("ipip")).toEqual({ carrier: { kind: "ip", protocol: 4 }, payload: inner });
		expect(
			encapsulate(synPacket(question(true)), { kind: "TUN", tunnel: "ipip", port: 0, checksum: "none" })
				.carrier,
		).toEqual({
			kind: "ip",
			protocol: 41,
		});
		expect(Buffer.from(tunnel("gre").payload.subarray(0, 4)).toString("hex")).toBe("00000800");
		expect(tunnel("gre", "csum").payload.subarray(8)).toEqual(inner);
		expect(tunnel("gre", "csum").payload[0]).toBe(0x80);
		expect(tunnel("gue")).toMatchObject({ carrier: { kind: "udp", port: 6080 } });
		expect(Buffer.from(tunnel("gue").payload.subarray(0, 4)).toString("hex")).toBe("00040000");
	});
});

describe("claims of a VIP", () => {
	const claim = { vip: "10.0.0.9", mac: "02:00:00:00:00:02", interface: "eth1" };
	const view: ClaimView = { own: false, vipIsHere: true, realServer: "10.0.0.2", neighbour: "10.0.0.2" };
	const twice = (seen: ClaimView, apartMs = CLAIM_CONFIRMED_AFTER_MS) => {
		const first = hearClaim(noClaims, claim, seen, 0);
		return hearClaim(first.claims, claim, seen, apartMs);
	};
	test("one is a doubt, two are a conflict", () => {
		expect(hearClaim(noClaims, claim, view, 0)).toMatchObject({ confirmed: null, doubtful: true });
		expect(twice(view).confirmed).toMatchObject({ realServer: "10.0.0.2", mac: claim.mac });
		expect(twice(view, 100).confirmed).toBeNull();
	});
	test("it is told once, stands while it is repeated, and is over after a minute of silence", () => {
		let { claims } = twice(view);
		const third = hearClaim(claims, claim, view, 5_000);
		expect(third).toMatchObject({ confirmed: null, doubtful: false });
		claims = third.claims;
		expect(conflictsOf(claims).length).toBe(1);
		expect(ageClaims(claims, 5_000 + CLAIM_OVER_AFTER_MS - 1).over).toEqual([]);
		const aged = ageClaims(claims, 5_000 + CLAIM_OVER_AFTER_MS);
		expect(aged.over.length).toBe(1);
		expect(conflictsOf(aged.claims)).toEqual([]);
	});
	test.each([
		["our own MAC", { ...view, own: true }, false],
		["the other director, while the VIP is there", { ...view, vipIsHere: false, realServer: null }, false],
		["a real server, wherever the VIP is", { ...view, vipIsHere: false }, true],
		["a stranger, while the VIP is here", { ...view, realServer: null, neighbour: null }, true],
	] as const)("%s", (_title, seen, conflict) => {
		expect(twice(seen).confirmed !== null).toBe(conflict);
	});
});

test("several services: each is asked before the period counts, and one that is back waits for all of them", () => {
	const rules = { periodMs: 6_000, anyAnswerWill: false, services: 3 };
	const accepted = { kind: "accepted" } as const;
	let path = newPath({ ...rules, startsDown: false });
	const asked: [service: number, nextInMs: number, ok: boolean][] = [];
	const answer = (with_: Parameters<typeof stepPath>[1]) => {
		const { service } = path;
		const step = stepPath(path, with_, `vip${service}`);
		path = step.path;
		asked.push([service, step.nextInMs, path.ok]);
		return step.transition;
	};
	for (let count = 0; count < 4; count++) expect(answer(accepted)).toBeUndefined();
	expect(asked).toEqual([
		[0, NEXT_SERVICE_AFTER_MS, true],
		[1, NEXT_SERVICE_AFTER_MS, true],
		[2, 6_000, true],
		[0, 6_000, true],
	]);
	// Back with the first of them alone.
	path = askAgain(path);
	asked.length = 0;
	expect(answer(accepted)).toBeUndefined();
	for (let count = 0; count < 3; count++) answer({ kind: "silent" });
	expect(asked.every(([, , ok]) => !ok)).toBe(true);
	expect(path.detail).toContain("vip2 is silent");
	expect(answer(accepted)).toBeUndefined();
	expect(answer(accepted)).toEqual({ ok: true });
});
