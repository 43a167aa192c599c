/** One probe of one check: the interface behind which every kind of check has its file. */
import type { CheckConfig, TlsClientConfig, TrackFileConfig } from "../config/model.ts";
import type { WeightEffect } from "./verdict.ts";
import type { Wheel } from "./wheel.ts";

export type CheckKind = CheckConfig["kind"];
/** The configuration of one kind; HTTP_GET and SSL_GET share theirs. */
export type CheckOf<Kind extends CheckKind, Each = CheckConfig> = Each extends { readonly kind: CheckKind }
	? Kind & Each["kind"] extends never
		? never
		: Each
	: never;

/** What a probe found, in the operator's words. */
export type Outcome =
	| {
			readonly kind: "passed";
			readonly detail: string;
			readonly effect: WeightEffect | null;
			/** A connection that was to be kept: established, and the taker's to release. */
			readonly connection?: number;
	  }
	| { readonly kind: "failed"; readonly detail: string }
	/** Nothing was learned about the server: this box could not even ask. */
	| { readonly kind: "postponed"; readonly detail: string };

/** What every probe may use. */
export interface ProbeEnvironment {
	/** Deadlines of all probes. */
	readonly wheel: Wheel;
	nowMs(): number;
	readonly tlsClient: TlsClientConfig | null;
	readonly trackFiles: readonly TrackFileConfig[];
	/** Told of each program of a MISC_CHECK that leads a process group; what it returns, that it has ended. */
	readonly programStarted: (pid: number) => () => void;
}

/**
 * Starts a probe of `check`. `done` is called once, never before `start` returned;
 * after the returned function was called, it is not called any more.
 */
export type Checker<Kind extends CheckKind> = (
	check: CheckOf<Kind>,
	/** Which of the check's URLs. */
	url: number,
	environment: ProbeEnvironment,
	done: (outcome: Outcome) => void,
) => () => void;

/** Names a check in messages: "TCP_CHECK [10.0.0.2]:80". */
export function checkName(check: CheckConfig): string {
	switch (check.kind) {
		case "MISC_CHECK":
			return `${check.kind} ${check.script.command[0] ?? ""}`;
		case "FILE_CHECK":
			return `${check.kind} ${check.trackFile}`;
		case "BFD_CHECK":
			return `${check.kind} ${check.bfd}`;
		case "PING_CHECK":
			return `${check.kind} ${check.target.address}`;
		default:
			return `${check.kind} [${check.target.address}]:${check.target.port}`;
	}
}

export function passed(detail: string, effect: WeightEffect | null = null): Outcome {
	return { kind: "passed", detail, effect };
}

export function failed(detail: string): Outcome {
	return { kind: "failed", detail };
}

export function postponed(detail: string): Outcome {
	return { kind: "postponed", detail };
}
