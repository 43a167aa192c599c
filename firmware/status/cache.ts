/** What the cache answers to "status" on its socket. */

export interface CacheStatus {
	/** Unix milliseconds. */
	readonly startedAtMs: number;
	readonly state: "stopped" | "starting" | "running" | "stopping" | "died";
	/** The active VCL and the file that it was made from; null before the first. */
	readonly vcl: { readonly name: string; readonly file: string } | null;
	/** The last reload; null before the first. A refused one leaves the running VCL as it was. */
	readonly reload: { readonly atMs: number; readonly ok: boolean; readonly message: string } | null;
	readonly listeners: readonly { readonly name: string; readonly address: string; readonly port: string }[];
	readonly storages: readonly { readonly name: string; readonly kind: string; readonly bytes: number }[];
	readonly workerPids: readonly number[];
	/** The last worker's end that nobody asked for; null when there was none. */
	readonly panic: string | null;
	/** Since the start. */
	readonly total: CacheFigures;
	/** Over the last seconds. */
	readonly recent: CacheFigures & { readonly seconds: number };
	readonly objects: number;
	readonly usedBytes: number;
	readonly freeBytes: number;
	readonly evicted: number;
	readonly expired: number;
	readonly sessions: number;
	readonly bans: number;
	readonly backends: readonly CacheBackendStatus[];
}

export interface CacheFigures {
	readonly requests: number;
	readonly hits: number;
	readonly misses: number;
	readonly passes: number;
	readonly synthetic: number;
	readonly failedFetches: number;
	/** Hits in 1 of all look-ups, 0 to 1; null while there was none. */
	readonly hitRatio: number | null;
}

export interface CacheBackendStatus {
	/** "vcl.backend" */
	readonly name: string;
	readonly healthy: boolean;
	readonly admin: "auto" | "healthy" | "sick";
	/** The VCL's own probe; null when it has none. */
	readonly probe: { readonly good: number; readonly window: number; readonly healthy: boolean } | null;
	/** The director's verdict; null when it does not check this server. */
	readonly director: boolean | null;
	readonly requests: number;
	readonly connections: number;
	readonly failedConnects: number;
}

/** One line of `drover cache top`: the URL as it was asked for. */
export interface TopEntry {
	readonly host: string;
	readonly url: string;
	readonly requests: number;
	readonly hits: number;
	readonly misses: number;
	readonly passes: number;
	readonly bytes: number;
}
