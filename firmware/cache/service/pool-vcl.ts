/**
 * The real servers of a virtual server as VCL: what `include "pool.vcl";` gives, and the whole policy of a
 * cache that has no VCL of its own. Pure.
 */
import type { VirtualServerConfig } from "../../config/model.ts";
import { parseAddress } from "../../wire/ip.ts";

/** The name under which a VCL of the revision includes the pool. */
export const POOL_FILE = "pool.vcl";

/** Finds the virtual server that `words` name: "192.168.80.202 80", "fwmark 6", "group web". */
export function findPool(
	servers: readonly VirtualServerConfig[],
	words: string,
): VirtualServerConfig | undefined {
	const [first = "", second = ""] = words.trim().split(/\s+/);
	const isNamed = ({ name }: VirtualServerConfig): boolean => {
		switch (name.kind) {
			case "fwmark":
				return first === "fwmark" && name.fwmark === Number(second);
			case "group":
				return first === "group" && name.group === second;
			case "address":
				return name.port === Number(second) && sameAddress(name.address, first);
		}
	};
	return servers.find(isNamed);
}

function sameAddress(one: string, other: string): boolean {
	const bytes = parseAddress(other);
	return bytes !== null && parseAddress(one)?.toString() === bytes.toString();
}

/**
 * Backends `pool_1`, `pool_2` … in the order of the file, and a director `pool` over those with a weight.
 * Schedulers that count connections or requests become weighted chance or turns: the cache keeps its
 * connections, so that a count of them would say little.
 */
export function poolVcl({ realServers, scheduler }: VirtualServerConfig): string {
	const used = realServers.filter(({ weight }) => weight > 0);
	const even = used.every(({ weight }) => weight === used[0]?.weight);
	const turns = even && ["rr", "wrr"].includes(scheduler);
	const backends = realServers.map(
		({ address, port }, index) =>
			`backend pool_${index + 1} {\n\t.host = "${address}";\n\t.port = "${port}";\n}\n`,
	);
	const members = realServers.flatMap(({ weight }, index) =>
		weight > 0 ? [`\tpool.add_backend(pool_${index + 1}${turns ? "" : `, ${weight}`});\n`] : [],
	);
	if (members.length === 0) return "backend pool_none none;\n";
	return `import directors;
${backends.filter((_, index) => realServers[index]!.weight > 0).join("")}
sub vcl_init {
	new pool = directors.${turns ? "round_robin" : "random"}();
${members.join("")}}

sub vcl_recv {
	set req.backend_hint = pool.backend();
}
`;
}

/** The policy of a cache without a VCL of its own: the pool, and the built-in VCL. */
export const poolOnlyVcl = `vcl 4.1;\n\ninclude "${POOL_FILE}";\n`;
