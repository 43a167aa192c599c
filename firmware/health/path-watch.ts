/** Runs the path checks of all real servers in DR and TUN mode: when each is asked, and who is told. */
import type { Forwarding, RealServerConfig, VirtualServerConfig } from "../config/model.ts";
import { PathProber, type PathTarget } from "./path.ts";
import { askAgain, newPath, type Path, stepPath } from "./path-verdict.ts";
import type { Wheel, WheelTimer } from "./wheel.ts";

/** The first question comes within this; later ones spread over the period. */
const FIRST_WITHIN_MS = 1_000;

/** One real server of one virtual server. */
export interface WatchedPath {
	/** What it asks: equal over a reload means that it goes on. */
	readonly identity: string;
	readonly targets: readonly PathTarget[];
	state: Path;
	readonly timer: WheelTimer;
	/** In [0, 1): its place among those that began together. */
	phase: number;
	cancel: (() => void) | null;
	closed: boolean;
	suspended: boolean;
	/** Called when the server goes out, comes back, or has had its first answer. */
	changed: ((transition: { readonly ok: boolean } | null) => void) | null;
}

export interface PathWatchOptions {
	readonly wheel: Wheel;
	nowMs(): number;
	isVirtualAddress(address: string): boolean;
	/** Once, when path checks cannot be made at all. */
	unavailable(reason: string): void;
}

/** What is asked of a real server: nothing in NAT mode, for fwmark services, SCTP, or without a port to ask. */
export function pathTargets(virtualServer: VirtualServerConfig, realServer: RealServerConfig): PathTarget[] {
	const { forwarding } = realServer;
	if (!virtualServer.pathCheck || forwarding.kind === "NAT" || virtualServer.protocol === "SCTP") return [];
	const checked = realServer.checks.find(({ kind }) => kind === "TCP_CHECK" || kind === "HTTP_GET");
	const anyPort = realServer.port || (checked !== undefined && "target" in checked ? checked.target.port : 0);
	return virtualServer.services.flatMap((service) => {
		if (service.kind === "fwmark") return [];
		// A service on all ports (port 0) is asked on the real server's.
		const port = service.port || anyPort;
		if (port === 0) return [];
		return [
			{
				vip: service.address,
				port,
				realServer: realServer.address,
				forwarding: forwarding as Exclude<Forwarding, { kind: "NAT" }>,
			},
		];
	});
}

export class PathWatch {
	readonly #options: PathWatchOptions;
	#prober: PathProber | null = null;
	#failed = false;

	constructor(options: PathWatchOptions) {
		this.#options = options;
	}

	create(
		identity: string,
		targets: readonly PathTarget[],
		virtualServer: VirtualServerConfig,
		startsDown: boolean,
	): WatchedPath {
		const watched: WatchedPath = {
			identity,
			targets,
			state: newPath({
				periodMs: virtualServer.delayLoopMs,
				anyAnswerWill: virtualServer.protocol === "UDP",
				services: targets.length,
				startsDown,
			}),
			timer: this.#options.wheel.timer(() => this.#ask(watched)),
			phase: 0,
			cancel: null,
			closed: false,
			suspended: false,
			changed: null,
		};
		return watched;
	}

	/** Starts those that begin together, evenly spread. */
	start(watched: readonly WatchedPath[]): void {
		watched.forEach((each, index) => {
			each.phase = index / watched.length;
			this.#options.wheel.set(each.timer, this.#options.nowMs() + each.phase * FIRST_WITHIN_MS);
		});
	}

	/** The server's own checks have found it dead: there is nothing to ask until they find it alive. */
	serverIsGone(watched: WatchedPath): void {
		this.#stopAsking(watched);
	}

	/** The server's own checks have brought it back: its path is asked before it serves. */
	serverIsBack(watched: WatchedPath): void {
		if (this.#failed || watched.closed) return;
		this.#stopAsking(watched);
		watched.state = askAgain(watched.state);
		if (!watched.suspended) this.#options.wheel.set(watched.timer, 0);
	}

	suspend(watched: WatchedPath, suspended: boolean): void {
		if (watched.suspended === suspended || watched.closed) return;
		watched.suspended = suspended;
		if (suspended) this.#stopAsking(watched);
		else this.#options.wheel.set(watched.timer, 0);
	}

	stop(watched: WatchedPath): void {
		watched.closed = true;
		watched.changed = null;
		this.#stopAsking(watched);
	}

	/** The MAC of a real server or of the gateway to it, where the path checks run. */
	macOf(address: string): Uint8Array | null {
		return this.#prober?.macOf(address) ?? null;
	}

	close(): void {
		this.#prober?.close();
		this.#prober = null;
	}

	#stopAsking(watched: WatchedPath): void {
		this.#options.wheel.cancel(watched.timer);
		watched.cancel?.();
		watched.cancel = null;
	}

	#ask(watched: WatchedPath): void {
		if (watched.closed || watched.suspended) return;
		const target = watched.targets[watched.state.service]!;
		const prober = this.#theProber();
		const answered = (answer: Parameters<typeof stepPath>[1]) => {
			watched.cancel = null;
			const { known, unasked } = watched.state;
			const service = target.vip.includes(":")
				? `[${target.vip}]:${target.port}`
				: `${target.vip}:${target.port}`;
			const result = stepPath(watched.state, answer, service);
			watched.state = result.path;
			// The first answers come within a second of each other; the next take their places in the period.
			const waitMs = known && unasked === 0 ? result.nextInMs : result.nextInMs * (0.5 + 0.5 * watched.phase);
			this.#options.wheel.set(watched.timer, this.#options.nowMs() + waitMs);
			if (result.transition !== undefined) watched.changed?.(result.transition);
			else if (known !== result.path.known) watched.changed?.(null);
		};
		if (prober === null) answered({ kind: "impossible", detail: "path checks are not possible here" });
		else watched.cancel = prober.ask(target, answered);
	}

	#theProber(): PathProber | null {
		if (this.#prober !== null || this.#failed) return this.#prober;
		try {
			this.#prober = new PathProber(
				this.#options.wheel,
				() => this.#options.nowMs(),
				(address) => this.#options.isVirtualAddress(address),
			);
		} catch (error) {
			this.#failed = true;
			this.#options.unavailable(error instanceof Error ? error.message : String(error));
		}
		return this.#prober;
	}
}
