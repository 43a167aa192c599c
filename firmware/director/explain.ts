/** What the director saw of its real servers and what it decided, for `drover rs why`. Pure. */
import type { RealServerConfig, VirtualServerConfig } from "../config/model.ts";
import type { Sighting } from "../status/timeline.ts";
import { endpointText } from "../wire/ipvs.ts";
import { virtualServerName } from "./names.ts";
import { liveWeight, type Notice, type Override } from "./pool.ts";

/** The subject of what concerns all virtual servers. */
export const WHOLE_DIRECTOR = "";

/** "10.0.0.4:80 of [10.0.0.1]:tcp:80". */
export function serverSubject(server: RealServerConfig, of: VirtualServerConfig): string {
	return `${endpointText(server)} of ${virtualServerName(of)}`;
}

/** Does an entry about `subject` belong to this real server's story? An address alone is all its ports. */
export function concernsServer(subject: string, realServer: string, virtualServer: string | null): boolean {
	if (subject === WHOLE_DIRECTOR) return true;
	const [server = "", of] = subject.split(" of ");
	if (of === undefined) return subject === virtualServer;
	if (virtualServer !== null && of !== virtualServer) return false;
	return server === realServer || server.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1") === realServer;
}

/** What the checks report of one real server: the part of health's own report that is told here. */
export interface ServerChange {
	readonly kind: "alive" | "stays-down" | "weight" | "check" | "path";
	/** For `check` and `path`: whether this one is up now. */
	readonly up: boolean;
	readonly reason: string;
	readonly verdict: { readonly alive: boolean; readonly weight: number; readonly reason: string };
}

/** A check's or the path's new answer, and what it does to its server. */
export function explainHealth(
	{ kind, up, reason, verdict }: ServerChange,
	server: RealServerConfig,
	of: VirtualServerConfig,
): Sighting {
	const subject = serverSubject(server, of);
	const from = server.address;
	switch (kind) {
		case "check":
			return {
				subject,
				text: `${up ? "passes" : "fails"}: ${reason}`,
				from,
				rule: up
					? "a check that is down comes up with its first success"
					: "a check goes down with its first answer ever, or when 1 + retry answers in a row are bad",
			};
		case "path":
			return {
				subject,
				text: `${up ? "passes" : "fails"}: ${reason}`,
				from,
				rule: "path check: a SYN for the virtual address must be answered from the virtual address",
			};
		case "alive":
			return {
				subject,
				text: verdict.alive ? `is in: ${verdict.reason}` : `is out: ${verdict.reason}`,
				from: null,
				rule: verdict.alive
					? "a real server is in while all its checks and its path are up"
					: "one check or the path that is down takes a real server out",
			};
		case "stays-down":
			return {
				subject,
				text: `stays out: ${reason}`,
				from: null,
				rule: "alpha: a real server is out until all its checks and its path are up",
			};
		case "weight":
			return {
				subject,
				text: `its weight is ${verdict.weight}: ${verdict.reason}`,
				from: null,
				rule: "misc_dynamic and FILE_CHECK move the configured weight",
			};
	}
}

/** Quorums; real servers show by what their checks said. */
export function explainNotice(notice: Notice): Sighting | null {
	if (notice.kind !== "quorum") return null;
	const { config } = notice.pool;
	const weight = liveWeight(notice.pool);
	const words = `has ${notice.up ? "its" : "no"} quorum: the live weights are ${weight} in sum`;
	const sorry =
		config.sorryServer === null ? "" : notice.up ? "; off the sorry server" : "; on the sorry server";
	return {
		subject: virtualServerName(config),
		text: `${words}${sorry}`,
		from: null,
		rule: `quorum: there from ${config.quorum + config.hysteresis} on, lost below ${config.quorum - config.hysteresis}`,
	};
}

export function explainOverride(
	override: Override | null,
	from: "operator" | null,
	server: RealServerConfig,
	of: VirtualServerConfig,
): Sighting {
	const subject = serverSubject(server, of);
	switch (override) {
		case null:
			return { subject, text: "takes connections again", from, rule: "the operator's word" };
		case "draining":
			return { subject, text: "is drained: no new connections", from, rule: "the operator's word: weight 0" };
		case "drained":
			return {
				subject,
				text: "its last connection has ended: out of the table",
				from,
				rule: "drain: out of the table when no connection is left",
			};
		case "maintenance":
			return {
				subject,
				text: "is in maintenance: out of the table",
				from,
				rule: "the operator's word: out at once, its connections end",
			};
	}
}
