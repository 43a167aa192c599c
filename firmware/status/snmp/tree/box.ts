/** All trees together: the whole of what this box can be asked. */
import type { Facts } from "../../box/facts.ts";
import { View } from "../view.ts";
import { droverTree } from "./drover.ts";
import { hostTree } from "./host.ts";
import { interfacesTree } from "./interfaces.ts";
import { keepalivedTree } from "./keepalived/keepalived.ts";
import { systemTree } from "./system.ts";
import { vrrpv3Tree } from "./vrrpv3.ts";

const trees = [systemTree, interfacesTree, hostTree, keepalivedTree, vrrpv3Tree, droverTree];

export function boxView(facts: Facts): View {
	return new View(trees.flatMap((tree) => tree(facts)));
}
