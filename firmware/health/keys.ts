/** Names that stay the same over a reload: what a virtual and a real server are matched by. Pure. */
import type { CheckConfig, CheckTiming, RealServerConfig, VirtualServerConfig } from "../config/model.ts";

/** Group, fwmark and family, or family, protocol, address and port: keepalived's own match. */
export function virtualServerKey(
	server: Pick<VirtualServerConfig, "name" | "protocol" | "services">,
): string {
	const { name } = server;
	switch (name.kind) {
		case "group":
			return `group ${name.group} ${server.protocol}`;
		case "fwmark":
			return `fwmark ${name.fwmark} ${server.services[0]?.family ?? "inet"}`;
		case "address":
			return `${server.protocol} [${name.address}]:${name.port}`;
	}
}

/** Address and port: unique within one virtual server. */
export function realServerKey(server: Pick<RealServerConfig, "address" | "port">): string {
	return `[${server.address}]:${server.port}`;
}

/** What a check asks, in whatever rhythm: kind, target and options, wherever they were written. */
export function questionKey({ timing: _, ...question }: CheckConfig): string {
	if (question.kind !== "MISC_CHECK") return JSON.stringify(question);
	const { location: __, ...script } = question.script;
	return JSON.stringify({ ...question, script });
}

/** The rhythm, which tens of thousands of checks share. */
const timingHashes = new WeakMap<CheckTiming, number | bigint>();

function timingHash(timing: CheckTiming): number | bigint {
	let hash = timingHashes.get(timing);
	if (hash === undefined) {
		hash = Bun.hash(JSON.stringify(timing));
		timingHashes.set(timing, hash);
	}
	return hash;
}

/**
 * What makes two checks one, as a number of 53 bits: what they ask, and their timing. Equal ones are probed once, and
 * keep their state over a reload. A text for each of tens of thousands of checks would cost more memory than the checks.
 * (Two of 100,000 meet by chance once in a million configurations.) `refersTo`: what it names beside the configuration.
 */
export function checkIdentity(check: CheckConfig, refersTo: string | undefined): number {
	const question = questionKey(check);
	const text = refersTo === undefined ? question : `${question} ${refersTo}`;
	return Number(BigInt(Bun.hash(text, timingHash(check.timing))) & 0x1f_ffff_ffff_ffffn);
}
