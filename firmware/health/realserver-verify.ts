/** Asks every real server once, as the director would, and reports in the operator's words. */
import type { CheckConfig, DroverConfig, Forwarding } from "../config/model.ts";
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
	const shortened = shorten(config);
	health.apply(shortened);
	const started = performance.now();
	const keys = shortened.virtualServers.flatMap((virtualServer) =>
		virtualServer.realServers.map((realServer) => ({
			realServer,
			ids: [virtualServerKey(virtualServer), realServerKey(realServer)] as const,
		})),
	);
	const settled = () =>
		keys.every(({ ids }) => {
			const { checks, path } = health.statusOf(...ids);
			const answered = checks.every(({ atMs }) => atMs > 0);
			const up = checks.every((check) => check.up);
			return answered && (path === null || !up || path.detail !== "not asked yet");
		});
	const elapsed = () => performance.now() - started;
	while (elapsed() < LISTEN_MS || (!settled() && elapsed() < LIMIT_MS)) await Bun.sleep(POLL_MS);
	const claims = health.conflicts();
	const realServers = keys.map(({ realServer, ids }): VerifiedServer => {
		const claim = claims.find((each) => each.realServer === realServer.address)?.detail ?? null;
		return {
			virtualServer: ids[0],
			realServer: ids[1],
			mode: realServer.forwarding.kind,
			...judge(health.statusOf(...ids), claim),
		};
	});
	health.close();
	return {
		realServers,
		conflicts: claims.filter((claim) => claim.realServer === null).map(({ detail }) => detail),
	};
}

/** `claim`: that the real server answers for a virtual address in public. */
function judge(
	{ checks, path }: Pick<RealServerStatus, "checks" | "path">,
	claim: string | null,
): Pick<VerifiedServer, "verdict" | "detail"> {
	const wrong = checks.filter(({ up }) => !up).map(({ kind, detail }) => `${kind}: ${detail}`);
	if (path !== null && !path.ok && wrong.length === 0) wrong.push(path.detail);
	// The path's words have it already.
	if (claim !== null && !wrong.some((words) => words.includes(claim))) wrong.push(claim);
	if (wrong.length > 0) return { verdict: "wrong", detail: wrong.join("; ") };
	const open = checks.find(({ atMs }) => atMs === 0);
	if (open !== undefined)
		return { verdict: "unknown", detail: `${open.kind}: no answer within ${LIMIT_MS / 1000} s` };
	if (path?.known === false) return { verdict: "unknown", detail: path.detail };
	if (path === null && checks.length === 0)
		return { verdict: "unknown", detail: "it has no check that asks over the network" };
	return {
		verdict: "right",
		detail: path?.detail ?? checks.map(({ kind, detail }) => `${kind}: ${detail}`).join("; "),
	};
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

/** The same servers, asked at once and judged by one answer. */
function shorten(config: DroverConfig): DroverConfig {
	return {
		...config,
		virtualServers: config.virtualServers.map((virtualServer) => ({
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
		})),
	};
}
