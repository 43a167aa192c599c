/** `drover ipvs --json`: what programs read stays as it is, whatever the table is made of inside. */
import { expect, test } from "bun:test";
import { destinationRecord } from "../../firmware/director/ipvs-text.ts";
import { type IpvsForwarding, plainTunnel, zeroStats } from "../../firmware/wire/ipvs.ts";

test.each<[IpvsForwarding, string, { type: string; port: number; checksum: string }]>([
	[{ kind: "NAT" }, "MASQ", { type: "ipip", port: 0, checksum: "none" }],
	[{ kind: "DR" }, "DR", { type: "ipip", port: 0, checksum: "none" }],
	[plainTunnel, "TUN", { type: "ipip", port: 0, checksum: "none" }],
	[
		{ kind: "TUN", tunnel: "gue", port: 6080, checksum: "csum" },
		"TUN",
		{ type: "gue", port: 6080, checksum: "csum" },
	],
])("drover ipvs --json: a destination by %j", (forwarding, name, tunnel) => {
	const before = { family: "inet", address: "10.0.0.1", port: 80 } as const;
	const limits = { upperThreshold: 100, lowerThreshold: 50 };
	const after = {
		activeConnections: 1,
		inactiveConnections: 2,
		persistentConnections: 3,
		stats: zeroStats,
	};
	expect(JSON.stringify(destinationRecord({ ...before, forwarding, weight: 3, limits, ...after }))).toBe(
		JSON.stringify({ ...before, forwarding: name, tunnel, weight: 3, ...limits, ...after }),
	);
});
