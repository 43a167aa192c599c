/** Drives the sessions: sockets, clock and chance. Every decision is `session.ts`'s. */
import type { BfdConfig } from "../config/model.ts";
import { errnoName } from "../kernel/errno.ts";
import { monotonicMicros } from "../kernel/realtime.ts";
import { UdpSocket } from "../kernel/udp-socket.ts";
import type { BfdEventMessage, BfdSessionStatus } from "../status/bfd.ts";
import type { Log } from "../status/log.ts";
import {
	BFD_CONTROL_LIMIT_BYTES,
	BFD_MULTIHOP_PORT,
	BFD_PORT,
	BFD_SOURCE_PORT_FIRST,
	BFD_SOURCE_PORT_LAST,
	type BfdControl,
	decodeBfdControl,
	encodeBfdControl,
} from "../wire/bfd.ts";
import { familyOf } from "../wire/ip.ts";
import { sessionFor } from "./demultiplex.ts";
import {
	type BfdEvent,
	type BfdSession,
	bfdStep,
	bfdWakeMicros,
	detectionTimeMicros,
	newBfdSession,
	transmitIntervalMicros,
} from "./session.ts";

type Family = "inet" | "inet6";

/** One session's own socket, and its timer. */
interface Running {
	session: BfdSession;
	readonly socket: UdpSocket;
	timer: ReturnType<typeof setTimeout> | null;
	/** Until when failures to send are not logged again. */
	quietUntilMicros: number;
}

const SEND_FAILURE_QUIET_MICROS = 60_000_000;
const DISCARD_QUIET_MICROS = 10_000_000;
/** Source ports tried, when others are in use. */
const SOURCE_PORT_TRIES = 64;

export interface BfdServiceOptions {
	readonly log: Log;
	onReport(message: BfdEventMessage): void;
}

export class BfdService {
	readonly #options: BfdServiceOptions;
	/** By our discriminator. */
	readonly #running = new Map<number, Running>();
	readonly #listeners = new Map<string, UdpSocket>();
	#discarded = 0;
	#discardQuietUntilMicros = 0;

	constructor(options: BfdServiceOptions) {
		this.#options = options;
	}

	/** Sessions that stay the same go on; the others begin or end. */
	configure(configs: readonly BfdConfig[]): void {
		const wanted = new Map(configs.map((config) => [config.name, config]));
		const kept = new Set<string>();
		for (const [discriminator, running] of this.#running) {
			const { config } = running.session;
			const next = wanted.get(config.name);
			if (next !== undefined && samePath(config, next)) {
				kept.add(config.name);
				this.#feed(running, { kind: "configure", config: next });
			} else this.#end(discriminator, running);
		}
		this.#listen(configs);
		for (const config of configs) if (!kept.has(config.name)) this.#begin(config);
	}

	status(): BfdSessionStatus[] {
		const nowMicros = monotonicMicros();
		return [...this.#running.values()].map(({ session }) => ({
			name: session.config.name,
			neighbor: session.config.neighbor,
			source: session.config.source,
			state: session.state,
			remoteState: session.remoteState,
			up: session.reportedUp,
			reason: session.reason,
			sinceMs: Date.now() - Math.round((nowMicros - session.sinceMicros) / 1000),
			localDiscriminator: session.localDiscriminator,
			remoteDiscriminator: session.remoteDiscriminator,
			transmitIntervalMs: transmitIntervalMicros(session) / 1000,
			detectionTimeMs: detectionTimeMicros(session) / 1000,
			forVrrp: session.config.forVrrp,
			forChecker: session.config.forChecker,
		}));
	}

	get discarded(): number {
		return this.#discarded;
	}

	/** RFC 5880 §6.8.16: the neighbors hear that this is no failure. */
	close(): void {
		for (const [discriminator, running] of this.#running) this.#end(discriminator, running);
		for (const listener of this.#listeners.values()) listener.close();
		this.#listeners.clear();
	}

	#begin(config: BfdConfig): void {
		const discriminator = this.#freeDiscriminator();
		try {
			const running: Running = {
				session: newBfdSession(config, discriminator, monotonicMicros()),
				socket: openSource(config),
				timer: null,
				quietUntilMicros: 0,
			};
			this.#running.set(discriminator, running);
			this.#feed(running, { kind: "timer" });
		} catch (error) {
			this.#options.log.error(`(${config.name}) BFD: ${error instanceof Error ? error.message : error}`);
		}
	}

	#end(discriminator: number, running: Running): void {
		this.#feed(running, { kind: "admin-down" });
		if (running.timer !== null) clearTimeout(running.timer);
		running.socket.close();
		this.#running.delete(discriminator);
	}

	#freeDiscriminator(): number {
		const bytes = new Uint32Array(1);
		do crypto.getRandomValues(bytes);
		while (bytes[0] === 0 || this.#running.has(bytes[0]!));
		return bytes[0]!;
	}

	#listen(configs: readonly BfdConfig[]): void {
		const wanted = new Set(configs.map(({ neighbor, multihop }) => `${familyOf(neighbor)} ${multihop}`));
		for (const [key, listener] of this.#listeners)
			if (!wanted.has(key)) {
				listener.close();
				this.#listeners.delete(key);
			}
		for (const key of wanted) {
			if (this.#listeners.has(key)) continue;
			const [family, multihop] = [key.split(" ")[0] as Family, key.endsWith("true")];
			try {
				const listener = UdpSocket.open({ family, port: multihop ? BFD_MULTIHOP_PORT : BFD_PORT });
				this.#listeners.set(key, listener);
				listener.receive(BFD_CONTROL_LIMIT_BYTES, ({ source, hopLimit, payload }) =>
					this.#receive(payload, { source: source.address, hopLimit, multihop }),
				);
			} catch (error) {
				this.#options.log.error(
					`BFD cannot listen, no session will come up: ${error instanceof Error ? error.message : error}`,
				);
			}
		}
	}

	#receive(payload: Uint8Array, arrival: Parameters<typeof sessionFor>[2]): void {
		const control = decodeBfdControl(payload);
		const found =
			typeof control === "string"
				? `${arrival.source} sent ${control}`
				: sessionFor(this.#running, control, arrival);
		if (typeof control === "string" || typeof found === "string") {
			this.#discarded++;
			const nowMicros = monotonicMicros();
			if (nowMicros < this.#discardQuietUntilMicros) return;
			this.#discardQuietUntilMicros = nowMicros + DISCARD_QUIET_MICROS;
			this.#options.log.info(`a BFD packet was discarded: ${found}`);
			return;
		}
		this.#feed(found, { kind: "packet", control });
	}

	#feed(running: Running, event: BfdEvent): void {
		const before = running.session;
		const { session, packets, report } = bfdStep(before, event, monotonicMicros(), Math.random());
		running.session = session;
		for (const packet of packets) this.#send(running, packet);
		const { config, state, reason } = session;
		if (state !== before.state)
			this.#options.log.info({ reason }, `(${config.name}) BFD session is ${state}`);
		if (report !== undefined)
			this.#options.onReport({
				kind: "session",
				name: config.name,
				...report,
				forVrrp: config.forVrrp,
				forChecker: config.forChecker,
			});
		this.#arm(running);
	}

	#send(running: Running, packet: BfdControl): void {
		const { config } = running.session;
		const port = config.multihop ? BFD_MULTIHOP_PORT : BFD_PORT;
		const to =
			familyOf(config.neighbor) === "inet"
				? ({ kind: "inet", address: config.neighbor, port } as const)
				: ({ kind: "inet6", address: config.neighbor, port, flowInfo: 0, scopeId: 0 } as const);
		const status = running.socket.send(encodeBfdControl(packet), to);
		const nowMicros = monotonicMicros();
		if (status >= 0 || nowMicros < running.quietUntilMicros) return;
		running.quietUntilMicros = nowMicros + SEND_FAILURE_QUIET_MICROS;
		this.#options.log.warn(`(${config.name}) BFD cannot send to ${config.neighbor}: ${errnoName(-status)}`);
	}

	#arm(running: Running): void {
		if (running.timer !== null) clearTimeout(running.timer);
		running.timer = null;
		const at = bfdWakeMicros(running.session);
		if (at === null) return;
		const waitMs = Math.max(0, (at - monotonicMicros()) / 1000);
		running.timer = setTimeout(() => {
			running.timer = null;
			this.#feed(running, { kind: "timer" });
		}, waitMs);
	}
}

/** Numbers and weights may change in a session; who speaks with whom may not. */
function samePath(a: BfdConfig, b: BfdConfig): boolean {
	return (
		a.neighbor === b.neighbor &&
		a.source === b.source &&
		a.multihop === b.multihop &&
		a.ttl === b.ttl &&
		a.passive === b.passive
	);
}

/** RFC 5881 §4: one source port for all of a session's packets, which no other session of this box has. */
function openSource(config: BfdConfig): UdpSocket {
	const count = BFD_SOURCE_PORT_LAST - BFD_SOURCE_PORT_FIRST + 1;
	const first = Math.floor(Math.random() * count);
	for (let turn = 0; ; turn++)
		try {
			return UdpSocket.open({
				family: familyOf(config.neighbor),
				port: BFD_SOURCE_PORT_FIRST + ((first + turn) % count),
				hopLimit: config.ttl,
				...(config.source === null ? {} : { address: config.source }),
			});
		} catch (error) {
			if (turn === SOURCE_PORT_TRIES) throw error;
		}
}
