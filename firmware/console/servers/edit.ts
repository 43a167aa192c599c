/** Virtual and real servers in a keepalived.conf: added, changed, removed; comments and order stay. Pure. */
import type { Document } from "../../config/keepalived/document.ts";
import {
	addBlock,
	blocksAt,
	EditError,
	type Line,
	type Path,
	removeBlock,
	removeSetting,
	setSetting,
	settingAt,
} from "../../config/keepalived/edit.ts";
import { canonicalAddress } from "../../wire/ip.ts";
import { type Endpoint, endpointText, namesOf } from "./name.ts";

/** How a new real server is asked whether it lives. */
export type NewCheck =
	| { readonly kind: "tcp" }
	| { readonly kind: "http"; readonly path: string }
	| { readonly kind: "none" };

export interface NewRealServer extends Endpoint {
	readonly weight: number;
	readonly check: NewCheck;
}

export interface NewVirtualServer extends Endpoint {
	readonly protocol: "TCP" | "UDP" | "SCTP";
	readonly scheduler: string;
	readonly forwarding: "NAT" | "DR" | "TUN";
	readonly delaySeconds: number;
	readonly persistenceSeconds: number | null;
	readonly realServers: readonly NewRealServer[];
}

const CONNECT_SECONDS = 3;

/** What can be changed on a virtual server, by its spelling in the file; a null takes the line out. */
export type VirtualServerChange = Readonly<Partial<Record<VirtualServerSetting, string | null>>>;
export type VirtualServerSetting = "scheduler" | "forwarding" | "persistence" | "quorum" | "delay" | "sorry";

/** The keyword of a setting, and what else it may be called in a file. */
const keywords: Readonly<Record<VirtualServerSetting, readonly [string, ...string[]]>> = {
	scheduler: ["lb_algo", "lvs_sched"],
	forwarding: ["lb_kind", "lvs_method"],
	persistence: ["persistence_timeout"],
	quorum: ["quorum"],
	delay: ["delay_loop"],
	sorry: ["sorry_server"],
};

export function addVirtualServer(document: Document, server: NewVirtualServer): Document {
	const lines: Line[] = [
		`delay_loop ${server.delaySeconds}`,
		`lb_algo ${server.scheduler}`,
		`lb_kind ${server.forwarding}`,
		`protocol ${server.protocol}`,
		...(server.persistenceSeconds === null ? [] : [`persistence_timeout ${server.persistenceSeconds}`]),
		...server.realServers.map(
			(real): Line => [`real_server ${real.address} ${real.port}`, ...realServerLines(real)],
		),
	];
	return addBlock(document, [], `virtual_server ${server.address} ${server.port}`, lines);
}

/** `name` is the status's name, such as "[10.0.0.1]:tcp:80". Throws an EditError in the operator's words. */
export function changeVirtualServer(document: Document, name: string, change: VirtualServerChange): Document {
	const path = virtualServerPath(document, name);
	let edited = document;
	for (const [setting, value] of Object.entries(change) as [VirtualServerSetting, string | null][]) {
		const spellings = keywords[setting];
		const keyword = spellings.find((each) => settingAt(edited, path, each) !== null) ?? spellings[0];
		edited =
			value === null
				? removeSetting(edited, path, keyword)
				: setSetting(edited, path, keyword, value.split(" "));
	}
	return edited;
}

export function removeVirtualServer(document: Document, name: string): Document {
	return removeBlock(document, virtualServerPath(document, name));
}

export function addRealServer(document: Document, name: string, real: NewRealServer): Document {
	const path = virtualServerPath(document, name);
	if (realServerHead(document, path, real) !== null)
		throw new EditError(`${endpointText(real)} is in ${name} already`);
	return addBlock(document, path, `real_server ${real.address} ${real.port}`, realServerLines(real));
}

export function changeRealServer(document: Document, name: string, real: Endpoint, weight: number): Document {
	return setSetting(document, realServerPath(document, name, real), "weight", [String(weight)]);
}

export function removeRealServer(document: Document, name: string, real: Endpoint): Document {
	return removeBlock(document, realServerPath(document, name, real));
}

function realServerLines({ weight, check }: NewRealServer): Line[] {
	const lines: Line[] = [`weight ${weight}`];
	if (check.kind === "tcp") lines.push(["TCP_CHECK", `connect_timeout ${CONNECT_SECONDS}`]);
	if (check.kind === "http")
		lines.push([
			"HTTP_GET",
			["url", `path ${check.path}`, "status_code 200"],
			`connect_timeout ${CONNECT_SECONDS}`,
		]);
	return lines;
}

function realServerPath(document: Document, name: string, real: Endpoint): Path {
	const path = virtualServerPath(document, name);
	const head = realServerHead(document, path, real);
	if (head === null) throw elsewhere(`real server ${endpointText(real)}`);
	return [...path, head];
}

function realServerHead(document: Document, path: Path, { address, port }: Endpoint): string | null {
	const found = blocksAt(document, path, "real_server").find(
		({ words: [, host = "", own = "0"] }) => canonicalAddress(host) === address && Number(own) === port,
	);
	return found === undefined ? null : found.words.join(" ");
}

/** The block of the virtual server that the status calls `name`. */
function virtualServerPath(document: Document, name: string): Path {
	const protocol = /^\[[^\]]+\]:(tcp|udp|sctp):/.exec(name)?.[1];
	const named = blocksAt(document, [], "virtual_server").filter(({ words }) => {
		const spelling = headName(words.slice(1));
		return spelling !== null && namesOf(name).includes(spelling);
	});
	const heads = named.map(({ words }) => words.join(" "));
	if (new Set(heads).size < heads.length)
		throw new EditError(`the file has ${heads[0]} more than once: edit it by hand ("drover config edit")`);
	const [found] = named.filter(({ words }) => {
		const own = settingAt(document, [words.join(" ")], "protocol")?.[0];
		return protocol === undefined || own === undefined || own.toLowerCase() === protocol;
	});
	if (found === undefined) throw elsewhere(`virtual server ${name}`);
	return [found.words.join(" ")];
}

/** The words behind `virtual_server` as an operator would type them. */
function headName([first = "", second = "0"]: readonly string[]): string | null {
	if (first === "fwmark") return `fwmark ${second}`;
	if (first === "group") return second;
	const address = canonicalAddress(first);
	return address === null ? null : endpointText({ address, port: Number(second) });
}

function elsewhere(what: string): EditError {
	return new EditError(
		`${what} is not written in keepalived.conf itself (but in an included file or by a definition): edit it by hand ("drover config edit")`,
	);
}
