/** Asks every real server once, as the director would, and reports in the operator's words. */
import type { CheckConfig, DroverConfig, Forwarding, VirtualServerConfig } from "../config/model.ts";
import type { RealServerStatus } from "../status/director.ts";
import { createHealth, realServerKey, virtualServerKey } from "./health.ts";

/** Checks that ask the network; programs and files are not this command's business. */
const asked = new Set<CheckConfig["kind"]>([
	"TCP_CHECK",
	"HTTP_GET",
	"SSL_GET",
	"SMTP_CHECK",
	"DNS_CHECK",
	"UDP_CHECK",
	"PING_CHECK",
]);
/** Three silences, a second each; ARP conflicts are heard twice. */
const LISTEN_MS = 5_500;
/** Whatever the timeouts in the file say. */
const LIMIT_MS = 15_000;
const POLL_MS = 100;
/** Of a group's addresses so many are named in a line. */
const NAMED_LIMIT = 4;

export interface VerifiedServer {
	readonly virtualServer: string;
	readonly realServer: string;
	readonly mode: Forwarding["kind"];
	/** "unknown": nothing of it could be asked, or no answer decides; that it is right would be a guess. */
	readonly verdict: "right" | "wrong" | "unknown";
	/** What was found, in the operator's words. */
	readonly detail: string;
}

export interface Verification {
	readonly realServers: readonly VerifiedServer[];
	/** Who else has a virtual address, where it is none of the real servers. */
	readonly conflicts: readonly string[];
}

/** Asks each real server of `config` in its checks' way and on its path, for up to 15 s. */
export async function verifyRealServers(config: DroverConfig): Promise<Verification> {
	const log = { info() {}, warn() {}, error() {} } as unknown as Parameters<typeof createHealth>[0]["log"];
	const health = createHealth({ log });
	const wholes = config.virtualServers.map((virtualServer) => {
		const shortened = shorten(virtualServer);
		return { shortened, parts: perService(shortened) };
	});
	health.apply({ ...config, virtualServers: wholes.flatMap(({ parts }) => parts) });
	const started = performance.now();
	const pairs = wholes.flatMap(({ shortened, parts }) =>
		shortened.realServers.map((realServer) => ({
			virtualServer: virtualServerKey(shortened),
			realServer,
			status() {
				const key = realServerKey(realServer);
				const each = parts.map((part) => health.statusOf(virtualServerKey(part), key));
				// The checks ask the server itself: each part has the same.
				return { checks: each[0]?.checks ?? [], paths: each.flatMap(({ path }) => path ?? []) };
			},
		})),
	);
	const settled = () =>
		pairs.every(({ status }) => {
			const { checks, paths } = status();
			const answered = checks.every(({ atMs }) => atMs > 0);
			const up = checks.every((check) => check.up);
			return answered && (!up || paths.every(({ detail }) => detail !== "not asked yet"));
		});
	const elapsed = () => performance.now() - started;
	while (elapsed() < LISTEN_MS || (!settled() && elapsed() < LIMIT_MS)) await Bun.sleep(POLL_MS);
	const claims = health.conflicts();
	const realServers = pairs.map(({ virtualServer, realServer, status }): VerifiedServer => {
		const claim = claims.find((each) => each.realServer === realServer.address)?.detail ?? null;
		return {
			virtualServer,
			realServer: realServerKey(realServer),
			mode: realServer.forwarding.kind,
			...judge(status(), claim),
		};
	});
	health.close();
	return {
		realServers,
		conflicts: claims.filter((claim) => claim.realServer === null).map(({ detail }) => detail),
	};
}

interface Found {
	readonly checks: RealServerStatus["checks"];
	/** One for each address of the virtual server. */
	readonly paths: readonly NonNullable<RealServerStatus["path"]>[];
}

/** `claim`: that the real server answers for a virtual address in public. */
function judge({ checks, paths }: Found, claim: string | null): Pick<VerifiedServer, "verdict" | "detail"> {
	const wrong = checks.filter(({ up }) => !up).map(({ kind, detail }) => `${kind}: ${detail}`);
	if (wrong.length === 0) wrong.push(...firstOf(paths.filter(({ ok }) => !ok)));
	// The path's words have it already.
	if (claim !== null && !wrong.some((words) => words.includes(claim))) wrong.push(claim);
	if (wrong.length > 0) return { verdict: "wrong", detail: wrong.join("; ") };
	const open = checks.find(({ atMs }) => atMs === 0);
	if (open !== undefined)
		return { verdict: "unknown", detail: `${open.kind}: no answer within ${LIMIT_MS / 1000} s` };
	const undecided = paths.filter(({ known }) => !known);
	if (undecided.length > 0) return { verdict: "unknown", detail: firstOf(undecided).join("; ") };
	if (paths.length === 0 && checks.length === 0)
		return { verdict: "unknown", detail: "it has no check that asks over the network" };
	return {
		verdict: "right",
		detail: (paths.length > 0 ? firstOf(paths) : checks.map(({ kind, detail }) => `${kind}: ${detail}`)).join(
			"; ",
		),
	};
}

/** The words of the first few, and how many there are more. */
function firstOf(paths: Found["paths"]): string[] {
	const more = paths.length - NAMED_LIMIT;
	return [
		...paths.slice(0, NAMED_LIMIT).map(({ detail }) => detail),
		...(more > 0 ? [`and ${more} more`] : []),
	];
}

const marks = { right: "ok   ", wrong: "WRONG", unknown: "?    " };

/** A line for each real server, and what is to be done. */
export function verificationLines({ realServers, conflicts }: Verification): string[] {
	const count = (verdict: VerifiedServer["verdict"]) =>
		realServers.filter((server) => server.verdict === verdict).length;
	const [wrong, unknown, all] = [count("wrong"), count("unknown"), realServers.length];
	const servers = all === 1 ? "real server" : "real servers";
	const sum = [
		...(wrong > 0 ? [`${wrong} of ${all} ${servers} ${wrong === 1 ? "is" : "are"} wrong`] : []),
		...(unknown > 0 ? [`${unknown} of ${all} ${servers} could not be asked`] : []),
	];
	return [
		...conflicts.map((detail) => `WRONG  ${detail}`),
		...realServers.map(
			({ verdict, virtualServer, realServer, mode, detail }) =>
				`${marks[verdict]}  ${virtualServer} → ${realServer} (${mode})  ${detail}`,
		),
		sum.length > 0
			? sum.join(", ")
			: `${all} ${servers}, ${all === 1 ? "as it should be" : "all as they should be"}`,
		// Behind NAT a real server needs nothing of its own.
		...["DR", "TUN"]
			.filter((mode) => realServers.some((server) => server.verdict === "wrong" && server.mode === mode))
			.map((mode) => `"drover realserver ${mode}" prints what to run on those with ${mode}`),
	];
}

/** Every real server is right, and nobody else has its virtual addresses. */
export const isRight = ({ realServers, conflicts }: Verification): boolean =>
	conflicts.length === 0 && realServers.every(({ verdict }) => verdict === "right");

/** One virtual server for each address and mark of a group: together they would be asked in turn, one in a period. */
function perService(virtualServer: VirtualServerConfig): VirtualServerConfig[] {
	if (virtualServer.services.length < 2) return [virtualServer];
	return virtualServer.services.map((service) => ({ ...virtualServer, name: service, services: [service] }));
}

/** The same servers, asked at once and judged by one answer. */
function shorten(virtualServer: VirtualServerConfig): VirtualServerConfig {
	return {
		...virtualServer,
		delayLoopMs: 60_000,
		pathCheck: true,
		realServers: virtualServer.realServers.map((realServer) => ({
			...realServer,
			checks: realServer.checks
				.filter(({ kind }) => asked.has(kind))
				.map((check) => ({
					...check,
					timing: { ...check.timing, delayLoopMs: 60_000, retry: 0, warmupMs: 500, alpha: false },
				})),
		})),
	};
}
