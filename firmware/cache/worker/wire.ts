/** What manager and workers say to each other over the process channel. Plain data. */

import type { ListenerOption } from "../manager/options.ts";
import type { BansFinished } from "../store/bans.ts";
import type { AdminHealth } from "../vcl/runtime.ts";
import type { Parameters } from "./parameters.ts";

/** A VCL as the manager compiled it: the worker repeats the compilation with the same answers. */
export interface VclText {
	readonly name: string;
	readonly source: string;
	readonly sourceName: string;
	/** Answers to includes, by "name\0glob". */
	readonly includes: Readonly<Record<string, { readonly name: string; readonly text: string }[]>>;
	/** Answers to host names. */
	readonly hosts: Readonly<Record<string, readonly string[]>>;
	readonly labels: readonly string[];
	readonly stevedores: readonly string[];
	readonly unusedIsError: boolean;
}

export interface BanMessage {
	readonly number: number;
	readonly addedAt: number;
	readonly words: readonly string[];
}

export interface StorageInfo {
	readonly name: string;
	readonly bytes: number;
}

export interface Setup {
	readonly worker: number;
	readonly storePath: string;
	/** Transient is the last. */
	readonly storages: readonly StorageInfo[];
	readonly isPersistent: boolean;
	readonly controlPath: string;
	readonly logPath: string;
	readonly identity: string;
	readonly hostname: string;
	readonly parameters: Parameters;
	readonly cacheStatus: boolean;
	readonly accessLog: string | undefined;
}

export type ToWorker =
	| { readonly kind: "setup"; readonly setup: Setup }
	| { readonly kind: "parameters"; readonly parameters: Parameters; readonly hiddenTags: readonly string[] }
	| { readonly kind: "load"; readonly call: number; readonly vcl: VclText }
	| { readonly kind: "use"; readonly call: number; readonly name: string }
	| { readonly kind: "label"; readonly call: number; readonly label: string; readonly name: string }
	| { readonly kind: "discard"; readonly call: number; readonly name: string }
	| { readonly kind: "listen"; readonly call: number; readonly listeners: readonly ListenerOption[] }
	| { readonly kind: "renew-certificates"; readonly call: number }
	| { readonly kind: "ban"; readonly call: number; readonly ban: BanMessage }
	/** A ban that this worker has handed on counts everywhere and will last, or `error` says why not. */
	| { readonly kind: "ban-known"; readonly ticket: number; readonly error: string | undefined }
	/** Every object is past the bans up to this one. */
	| { readonly kind: "bans-finished"; readonly finished: BansFinished }
	| {
			readonly kind: "health";
			readonly vcl: string;
			/** Or a director, for which `admin` alone counts. */
			readonly backend: string;
			readonly admin: AdminHealth;
			readonly probeHealthy: boolean;
			readonly changedAt: number;
	  }
	| { readonly kind: "report"; readonly call: number }
	/** Answered with a DirectorReport for each director, by "vcl.director". */
	| { readonly kind: "directors"; readonly call: number }
	| { readonly kind: "stop" };

export interface WorkerReport {
	/** Figures of each backend, by "vcl.backend". */
	readonly backends: Readonly<Record<string, Readonly<Record<string, number>>>>;
	readonly sessions: number;
	readonly bans: { readonly tested: number; readonly testsTested: number };
	readonly bansFinished: BansFinished | undefined;
	readonly logRecords: number;
	readonly logFlushes: number;
	readonly logCycles: number;
	readonly busy: Readonly<Record<string, number>>;
}

export type FromWorker =
	| { readonly kind: "ready" }
	| {
			readonly kind: "done";
			readonly call: number;
			readonly error: string | undefined;
			readonly value: unknown;
	  }
	/** Its VCL bans something. Numbers are the manager's, so that all workers learn of bans in the same order. */
	| { readonly kind: "ban"; readonly ticket: number; readonly words: readonly string[] }
	| { readonly kind: "report"; readonly report: WorkerReport };
