/** Asks every real server once, as the director would, and reports in the operator's words. */
import type { CheckConfig, DroverConfig } from "../config/model.ts";
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

interface Line {
	readonly virtualServer: string;
	readonly realServer: string;
	readonly mode: string;
	/** Null: nothing wrong was found. */
	readonly wrong: string | null;
	readonly detail: string;
}

/** Prints a line per real server. Resolves with 0 when all are right, else 1. */
export async function verifyRealServers(
	config: DroverConfig,
	print: (line: string) => void,
): Promise<number> {
	const log = { info() {}, warn() {}, error() {} } as unknown as Parameters<typeof createHealth>[0]["log"];
	const health = createHealth({ log });
	const shortened = shorten(config);
	health.apply(shortened);
	const started = performance.now();
	const keys = shortened.virtualServers.flatMap((virtualServer) =>
		virtualServer.realServers.map((realServer) => ({
			virtualServer,
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
	const lines = keys.map(({ realServer, ids }): Line => {
		const { checks, path } = health.statusOf(...ids);
		const failed = checks.filter(({ up }) => !up).map(({ kind, detail }) => `${kind}: ${detail}`);
		if (path !== null && !path.ok && failed.length === 0) failed.push(path.detail);
		const conflict = health.conflicts().find((each) => each.realServer === realServer.address);
		if (conflict !== undefined) failed.push(conflict.detail);
		return {
			virtualServer: ids[0],
			realServer: ids[1],
			mode: realServer.forwarding.kind,
			wrong: failed.length > 0 ? failed.join("; ") : null,
			detail: path?.detail ?? checks.map(({ kind, detail }) => `${kind}: ${detail}`).join("; "),
		};
	});
	for (const conflict of health.conflicts())
		if (conflict.realServer === null) print(`WRONG  ${conflict.detail}`);
	health.close();
	const wrong = lines.filter((line) => line.wrong !== null);
	for (const line of lines) {
		print(
			`${line.wrong === null ? "ok   " : "WRONG"}  ${line.virtualServer} → ${line.realServer} (${line.mode})  ${line.wrong ?? line.detail}`,
		);
	}
	print(
		wrong.length === 0
			? `${lines.length} real servers, all as they should be`
			: `${wrong.length} of ${lines.length} real servers ${wrong.length === 1 ? "is" : "are"} wrong`,
	);
	// Behind NAT a real server needs nothing of its own.
	for (const mode of ["DR", "TUN"])
		if (wrong.some((line) => line.mode === mode))
			print(`"drover realserver ${mode}" prints what to run on those with ${mode}`);
	return wrong.length === 0 ? 0 : 1;
}

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
