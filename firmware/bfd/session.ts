/**
 * One BFD session in asynchronous mode, as a function of what happens to it (RFC 5880 §6). Time and chance come in
 * with the events; packets and news go out. Nothing here knows a socket or a clock.
 */
import type { BfdConfig } from "../config/model.ts";
import { type BfdControl, BfdDiagnostic, type BfdState, bfdDiagnosticText } from "../wire/bfd.ts";

/** RFC 5880 §6.8.3: while a session is not up, it asks for no more than one packet a second. */
const SLOW_TX_MICROS = 1_000_000;
/** RFC 5880 §6.8.1: until the first packet the other side's minimum is taken for this. */
const FIRST_REMOTE_MIN_RX_MICROS = 1;
/** RFC 5880 §6.8.7: an interval is shortened by up to a quarter, and by a tenth at least where one loss counts. */
const JITTER_MAX = 0.25;
const JITTER_MIN_OF_ONE = 0.1;

export interface BfdSession {
	readonly config: BfdConfig;
	readonly state: BfdState;
	readonly diagnostic: number;
	readonly localDiscriminator: number;
	readonly remoteState: BfdState;
	/** 0 until the other side has been heard, and after it has been silent for a detection time. */
	readonly remoteDiscriminator: number;
	readonly remoteMinTxMicros: number;
	readonly remoteMinRxMicros: number;
	readonly remoteMultiplier: number;
	readonly remoteDemand: boolean;
	/** What our packets ask for. */
	readonly desiredMinTxMicros: number;
	/** What is in force: a larger interval waits for the end of the poll (RFC 5880 §6.8.3). */
	readonly transmitMicros: number;
	readonly detectMinRxMicros: number;
	/** A poll sequence runs: the other side has not yet confirmed our intervals. */
	readonly polling: boolean;
	/** What those who track the session are told. */
	readonly reportedUp: boolean;
	readonly sinceMicros: number;
	readonly reason: string;
	readonly nextSendMicros: number | null;
	readonly detectAtMicros: number | null;
}

export type BfdEvent =
	| { readonly kind: "packet"; readonly control: BfdControl }
	/** Something is due, perhaps. */
	| { readonly kind: "timer" }
	/** New numbers for the same session. */
	| { readonly kind: "configure"; readonly config: BfdConfig }
	/** RFC 5880 §6.8.16: the operator, or the end of the process. */
	| { readonly kind: "admin-down" };

export interface BfdStep {
	readonly session: BfdSession;
	/** In this order. */
	readonly packets: readonly BfdControl[];
	/** Set when those who track the session hear something new. */
	readonly report?: { readonly up: boolean; readonly reason: string };
}

/** A session that has heard nothing. `localDiscriminator` is unique on this box, and not 0. */
export function newBfdSession(config: BfdConfig, localDiscriminator: number, nowMicros: number): BfdSession {
	return {
		config,
		state: "Down",
		diagnostic: BfdDiagnostic.none,
		localDiscriminator,
		remoteState: "Down",
		remoteDiscriminator: 0,
		remoteMinTxMicros: 0,
		remoteMinRxMicros: FIRST_REMOTE_MIN_RX_MICROS,
		remoteMultiplier: 0,
		remoteDemand: false,
		desiredMinTxMicros: idleTxMicros(config),
		transmitMicros: idleTxMicros(config),
		detectMinRxMicros: config.minRxMicros,
		polling: false,
		reportedUp: false,
		sinceMicros: nowMicros,
		reason: "nothing heard yet",
		nextSendMicros: config.passive ? null : nowMicros,
		detectAtMicros: null,
	};
}

/** When the session wants a "timer" next; null is never. */
export function bfdWakeMicros({ nextSendMicros, detectAtMicros }: BfdSession): number | null {
	if (nextSendMicros === null) return detectAtMicros;
	return detectAtMicros === null ? nextSendMicros : Math.min(nextSendMicros, detectAtMicros);
}

/** RFC 5880 §6.8.4: how long the other side may be silent. */
export function detectionTimeMicros(session: BfdSession): number {
	return session.remoteMultiplier * Math.max(session.detectMinRxMicros, session.remoteMinTxMicros);
}

/** RFC 5880 §6.8.7: between two periodic packets, before the jitter. */
export function transmitIntervalMicros(session: BfdSession): number {
	return Math.max(session.transmitMicros, session.remoteMinRxMicros);
}

/** `chance` is in [0, 1): the jitter of the next interval. */
export function bfdStep(session: BfdSession, event: BfdEvent, nowMicros: number, chance: number): BfdStep {
	const run = new Run(session, nowMicros, chance);
	switch (event.kind) {
		case "packet":
			run.receive(event.control);
			break;
		case "timer":
			run.timer();
			break;
		case "configure":
			run.configure(event.config);
			break;
		case "admin-down":
			run.adminDown();
			break;
	}
	return run.result();
}

class Run {
	#session: BfdSession;
	readonly #before: BfdSession;
	readonly #nowMicros: number;
	readonly #chance: number;
	readonly #packets: BfdControl[] = [];

	constructor(session: BfdSession, nowMicros: number, chance: number) {
		this.#session = session;
		this.#before = session;
		this.#nowMicros = nowMicros;
		this.#chance = chance;
	}

	result(): BfdStep {
		const { reportedUp, reason } = this.#session;
		const result = { session: this.#session, packets: this.#packets };
		return reportedUp === this.#before.reportedUp
			? result
			: { ...result, report: { up: reportedUp, reason } };
	}

	#set(change: Partial<BfdSession>): void {
		this.#session = { ...this.#session, ...change };
	}

	/** RFC 5880 §6.8.6, from where the session has been found on. */
	receive(control: BfdControl): void {
		if (this.#session.state === "AdminDown") return;
		this.#set({
			remoteDiscriminator: control.myDiscriminator,
			remoteState: control.state,
			remoteDemand: control.demand,
			remoteMinTxMicros: control.desiredMinTxMicros,
			remoteMinRxMicros: control.requiredMinRxMicros,
			remoteMultiplier: control.detectMultiplier,
		});
		if (control.final && this.#session.polling) this.#endPoll();
		this.#follow(control);
		this.#set({ detectAtMicros: this.#nowMicros + detectionTimeMicros(this.#session) });
		if (control.poll) this.#send({ final: true });
		this.#settleSchedule();
	}

	/** RFC 5880 §6.8.6: the state machine's table. */
	#follow({ state: remote, diagnostic }: BfdControl): void {
		const { state } = this.#session;
		if (remote === "AdminDown") {
			if (state !== "Down")
				this.#down(BfdDiagnostic.neighborSignaledSessionDown, "the neighbor is administratively down");
		} else if (state === "Down") {
			if (remote === "Down") this.#enter("Init", "the neighbor is heard");
			else if (remote === "Init") this.#up();
		} else if (state === "Init") {
			if (remote === "Init" || remote === "Up") this.#up();
		} else if (remote === "Down")
			this.#down(
				BfdDiagnostic.neighborSignaledSessionDown,
				`the neighbor says down: ${bfdDiagnosticText(diagnostic)}`,
			);
	}

	timer(): void {
		const { detectAtMicros, state } = this.#session;
		if (detectAtMicros !== null && this.#nowMicros >= detectAtMicros) {
			if (state === "Init" || state === "Up")
				this.#down(
					BfdDiagnostic.controlDetectionTimeExpired,
					`nothing heard for ${formatMilliseconds(detectionTimeMicros(this.#session))}`,
				);
			// RFC 5880 §6.8.1: the neighbor may come back as somebody else.
			this.#set({ detectAtMicros: null, remoteDiscriminator: 0 });
		}
		const { nextSendMicros } = this.#session;
		if (nextSendMicros !== null && this.#nowMicros >= nextSendMicros && this.#mayTransmit())
			this.#sendPeriodic();
		this.#settleSchedule();
	}

	/** RFC 5880 §6.8.3: what is longer waits until the other side has confirmed it. */
	configure(config: BfdConfig): void {
		const { state, transmitMicros, detectMinRxMicros } = this.#session;
		if (state !== "Up") {
			const desiredMinTxMicros = idleTxMicros(config);
			this.#set({
				desiredMinTxMicros,
				transmitMicros: desiredMinTxMicros,
				detectMinRxMicros: config.minRxMicros,
			});
		} else {
			this.#set({
				desiredMinTxMicros: config.minTxMicros,
				transmitMicros: Math.min(transmitMicros, config.minTxMicros),
				detectMinRxMicros: Math.max(detectMinRxMicros, config.minRxMicros),
				polling: true,
			});
		}
		this.#set({ config });
		this.#settleSchedule();
	}

	adminDown(): void {
		const { state } = this.#session;
		if (state === "AdminDown") return;
		this.#enter("AdminDown", "switched off here", BfdDiagnostic.administrativelyDown);
		this.#set({ reportedUp: false, nextSendMicros: null, detectAtMicros: null, polling: false });
	}

	#up(): void {
		const { config } = this.#session;
		// The faster rate is ours to take at once, and is confirmed by a poll.
		this.#set({ desiredMinTxMicros: config.minTxMicros, transmitMicros: config.minTxMicros, polling: true });
		this.#enter("Up", "the neighbor is up", BfdDiagnostic.none);
		this.#set({ reportedUp: true });
	}

	#down(diagnostic: number, reason: string): void {
		const { config, state, remoteState } = this.#session;
		const desiredMinTxMicros = idleTxMicros(config);
		this.#set({
			desiredMinTxMicros,
			transmitMicros: desiredMinTxMicros,
			detectMinRxMicros: config.minRxMicros,
			polling: false,
		});
		this.#enter("Down", reason, diagnostic);
		// A neighbor that was switched off on purpose is no failure (RFC 5882 §4.2; keepalived tells nobody either).
		if (state === "Up" && remoteState !== "AdminDown") this.#set({ reportedUp: false });
	}

	/** RFC 5880 §6.8.7: a change of state is told at once. */
	#enter(state: BfdState, reason: string, diagnostic = this.#session.diagnostic): void {
		this.#set({ state, reason, diagnostic, sinceMicros: this.#nowMicros });
		if (this.#mayTransmit()) this.#sendPeriodic();
	}

	#endPoll(): void {
		const { config, desiredMinTxMicros } = this.#session;
		this.#set({ polling: false, transmitMicros: desiredMinTxMicros, detectMinRxMicros: config.minRxMicros });
	}

	/** RFC 5880 §6.8.7. */
	#mayTransmit(): boolean {
		const { config, remoteDiscriminator, remoteMinRxMicros, remoteDemand, polling, state, remoteState } =
			this.#session;
		if (config.passive && remoteDiscriminator === 0) return false;
		if (remoteMinRxMicros === 0) return false;
		return !(remoteDemand && state === "Up" && remoteState === "Up" && !polling);
	}

	/** The interval may have changed: the next packet comes no later than it allows, and not at all when none may. */
	#settleSchedule(): void {
		if (this.#session.state === "AdminDown") return;
		if (!this.#mayTransmit()) {
			this.#set({ nextSendMicros: null });
			return;
		}
		const latest = this.#nowMicros + transmitIntervalMicros(this.#session);
		const { nextSendMicros } = this.#session;
		if (nextSendMicros === null || nextSendMicros > latest)
			this.#set({ nextSendMicros: this.#nowMicros + this.#jittered() });
	}

	#jittered(): number {
		const { config } = this.#session;
		const least = config.multiplier === 1 ? JITTER_MIN_OF_ONE : 0;
		const share = 1 - least - this.#chance * (JITTER_MAX - least);
		return Math.floor(transmitIntervalMicros(this.#session) * share);
	}

	#sendPeriodic(): void {
		this.#send({ poll: this.#session.polling });
		this.#set({ nextSendMicros: this.#nowMicros + this.#jittered() });
	}

	#send({ poll = false, final = false }: { readonly poll?: boolean; readonly final?: boolean }): void {
		const session = this.#session;
		this.#packets.push({
			diagnostic: session.diagnostic,
			state: session.state,
			poll,
			final,
			demand: false,
			detectMultiplier: session.config.multiplier,
			myDiscriminator: session.localDiscriminator,
			yourDiscriminator: session.remoteDiscriminator,
			desiredMinTxMicros: session.desiredMinTxMicros,
			requiredMinRxMicros: session.config.minRxMicros,
		});
	}
}

function idleTxMicros({ idleTxMicros: idle, minTxMicros }: BfdConfig): number {
	return Math.max(SLOW_TX_MICROS, idle, minTxMicros);
}

function formatMilliseconds(micros: number): string {
	return `${Number((micros / 1000).toFixed(1))} ms`;
}
