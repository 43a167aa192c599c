/** The kernel's tables while Drover is master, and while the real keepalived is, with the same file. */
import { expect } from "bun:test";
import { eventually } from "./network.ts";
import { type Box, Lab, type Running } from "./vrrp-lab.ts";

export const kinds = ["drover", "keepalived"] as const;

interface Seen {
	readonly addresses: string[];
	readonly routes: string[];
	readonly rules: string[];
	readonly links: string[];
	readonly filter: string;
}

/** Order, indexes and times left out. */
export function look(box: Box): Seen {
	const lines = (...words: string[]) =>
		box.namespace
			.ip(...words)
			.split("\n")
			.map((line) => line.replace(/\s+/g, " ").trim())
			.filter(Boolean)
			.sort();
	interface Link {
		readonly ifname: string;
		readonly link?: string;
		readonly address: string;
		readonly addr_info: readonly {
			local: string;
			prefixlen: number;
			scope: string;
			label?: string;
			broadcast?: string;
		}[];
		readonly linkinfo?: { readonly info_kind: string; readonly info_data?: unknown };
	}
	const links = box.namespace
		.ipJson<Link>("-d", "address", "show")
		.filter(({ ifname, linkinfo }) => ifname !== "lo" && (linkinfo?.info_kind ?? "") !== "");
	const routes = ["-4", "-6"].flatMap((family) =>
		lines(family, "route", "show", "table", "all").filter(
			(line) => !/table local|proto kernel|^(ff00::|multicast|anycast|local) /.test(line),
		),
	);
	return {
		addresses: links
			.flatMap(({ ifname, addr_info }) =>
				addr_info
					.filter(({ local }) => !local.startsWith("fe80::") || local === "fe80::200")
					.map((one) =>
						[ifname, `${one.local}/${one.prefixlen}`, one.scope, one.broadcast ?? "-", one.label ?? ""].join(
							" ",
						),
					),
			)
			.sort(),
		routes,
		rules: ["-4", "-6"].flatMap((family) => lines(family, "rule", "show")),
		links: links
			.filter(({ linkinfo }) => /vlan/.test(linkinfo?.info_kind ?? ""))
			.map(({ ifname, link, address, linkinfo }) =>
				JSON.stringify([
					ifname,
					link,
					linkinfo?.info_kind === "macvlan" ? address : "",
					linkinfo?.info_kind,
					(linkinfo?.info_data as { mode?: string } | undefined)?.mode,
				]),
			)
			.sort(),
		filter: box.namespace.run("nft", "list", "ruleset"),
	};
}

/** Each on a segment of its own, so that both are masters. */
export async function both(
	text: string,
	prepare: (box: Box) => void,
	check: (seen: Record<(typeof kinds)[number], Seen>, boxes: Record<string, Box>) => void | Promise<void>,
): Promise<void> {
	using drover = new Lab("kernel-a");
	using keepalived = new Lab("kernel-b");
	const boxes = { drover: drover.box("box", 1), keepalived: keepalived.box("box", 1) };
	const clients = { drover: drover.box("client", 3), keepalived: keepalived.box("client", 3) };
	const before = {} as Record<(typeof kinds)[number], Seen>;
	for (const kind of kinds) {
		prepare(boxes[kind]);
		before[kind] = look(boxes[kind]);
	}
	const running: Record<string, Running> = {
		drover: boxes.drover.drover(text, "--no-standby"),
		keepalived: boxes.keepalived.keepalived(text),
	};
	const seen = {} as Record<(typeof kinds)[number], Seen>;
	for (const kind of kinds) {
		const wanted = text.split("vrrp_instance ").length - 1;
		await eventually(
			`${kind} is master`,
			() => running[kind]!.log().split("Entering MASTER STATE").length > wanted,
			20_000,
		);
	}
	// The last instance's routes and rules follow its log line.
	await eventually("both kernels are alike", () => {
		for (const kind of kinds) seen[kind] = look(boxes[kind]);
		return Bun.deepEquals(seen.drover.routes.length, seen.keepalived.routes.length);
	});
	await Bun.sleep(300);
	for (const kind of kinds) seen[kind] = look(boxes[kind]);
	await check(seen, { ...boxes, droverClient: clients.drover, keepalivedClient: clients.keepalived });
	for (const kind of kinds) await running[kind]!.stop();
	const after = look(boxes.drover);
	expect({ ...after, filter: "" }).toEqual({ ...before.drover, filter: "" });
	expect(after.filter).toBe("");
}

/** A vrrp_instance that is master within a second. */
export const fast = "state MASTER\n\tversion 3\n\tadvert_int 0.2\n\tpriority 100";

export function secondCable(box: Box): void {
	box.namespace.ip("link", "add", "eth1", "type", "veth", "peer", "name", "far1");
	for (const name of ["eth1", "far1"]) {
		box.namespace.ip("link", "set", name, "addrgenmode", "none");
		box.namespace.ip("link", "set", name, "up");
	}
	box.namespace.ip("address", "add", "198.51.100.1/24", "dev", "eth1");
}
