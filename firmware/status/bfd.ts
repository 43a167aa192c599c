/** What `drover bfd` says of itself on its socket. */
import type { BfdState } from "../wire/bfd.ts";

export interface BfdSessionStatus {
	readonly name: string;
	readonly neighbor: string;
	readonly source: string | null;
	readonly state: BfdState;
	readonly remoteState: BfdState;
	/** What those who track the session go by. */
	readonly up: boolean;
	readonly reason: string;
	/** Unix milliseconds of the last change of state. */
	readonly sinceMs: number;
	readonly localDiscriminator: number;
	readonly remoteDiscriminator: number;
	readonly transmitIntervalMs: number;
	/** 0 until the neighbor has been heard. */
	readonly detectionTimeMs: number;
	readonly forVrrp: boolean;
	readonly forChecker: boolean;
}

export interface BfdStatus {
	readonly configFile: string;
	readonly sessions: readonly BfdSessionStatus[];
	/** Packets that were no session's, or broke RFC 5880 §6.8.6, since the start. */
	readonly discarded: number;
}

/** A session went up or down for those who track it. */
export interface BfdEventMessage {
	readonly kind: "session";
	readonly name: string;
	readonly up: boolean;
	readonly reason: string;
	readonly forVrrp: boolean;
	readonly forChecker: boolean;
}
