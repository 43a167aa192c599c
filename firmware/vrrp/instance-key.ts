import type { VrrpInstanceConfig } from "../config/model.ts";

/** What makes two configurations mean the same virtual router (keepalived's vrrp_exist). Not its name. */
export function instanceKey(config: VrrpInstanceConfig): string {
	const way = config.unicastPeers.length > 0 ? "unicast" : config.multicastDestination;
	const vmac =
		config.vmac === null
			? ""
			: `/${config.vmac.ipvlan === null ? "vmac" : "ipvlan"}:${config.vmac.name ?? ""}`;
	const source = way === "unicast" || config.interface === null ? `/${config.sourceAddress ?? ""}` : "";
	return `${config.virtualRouterId}/${config.family}/${config.interface ?? "-"}/${way}${source}${vmac}`;
}
