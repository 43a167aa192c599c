/**
 * Every counter, declared once: readers get their descriptions, `/metrics` and the workers their places from here.
 * Names, order and kinds are those of varnishd 7.1, since monitoring is written against them.
 */

export interface Counter {
	readonly name: string;
	readonly kind: "counter" | "gauge" | "bitmap";
	readonly level: "info" | "diag" | "debug";
	readonly format: "integer" | "bytes" | "bitmap" | "duration";
	readonly about: string;
}

export interface CounterGroup {
	readonly name: string;
	readonly about: string;
	/** Position among the groups that a reader shows. */
	readonly order: number;
	readonly counters: readonly Counter[];
}

type Row = readonly [
	name: string,
	kind: "c" | "g" | "b",
	level: Counter["level"],
	format: Counter["format"],
	about?: string,
];
const kinds = { c: "counter", g: "gauge", b: "bitmap" } as const;

function group(name: string, about: string, order: number, rows: readonly Row[]): CounterGroup {
	const counters = rows.map(([counter, kind, level, format, text]) => ({
		name: counter,
		kind: kinds[kind],
		level,
		format,
		about: text ?? counter.replaceAll("_", " "),
	}));
	return { name, about, order, counters };
}

/** The workers' own counters. The position of a name here is its place in memory. */
export const mainCounters = group("main", "Main counters", 10, [
	["summs", "c", "debug", "integer"],
	["uptime", "c", "info", "duration", "seconds"],
	["sess_conn", "c", "info", "integer", "accepted"],
	["sess_fail", "c", "info", "integer"],
	["sess_fail_econnaborted", "c", "info", "integer"],
	["sess_fail_eintr", "c", "info", "integer"],
	["sess_fail_emfile", "c", "info", "integer"],
	["sess_fail_ebadf", "c", "info", "integer"],
	["sess_fail_enomem", "c", "info", "integer"],
	["sess_fail_other", "c", "info", "integer"],
	["client_req_400", "c", "info", "integer"],
	["client_req_417", "c", "info", "integer"],
	["client_req", "c", "info", "integer", "requests that passed parsing"],
	["esi_req", "c", "info", "integer"],
	["cache_hit", "c", "info", "integer", "incl. grace hits"],
	["cache_hit_grace", "c", "info", "integer"],
	["cache_hitpass", "c", "info", "integer", "lookups landing on HFP"],
	["cache_hitmiss", "c", "info", "integer", "lookups landing on HFM"],
	["cache_miss", "c", "info", "integer", "misses that led to a fetch"],
	["beresp_uncacheable", "c", "info", "integer"],
	["beresp_shortlived", "c", "info", "integer"],
	["backend_conn", "c", "info", "integer"],
	["backend_unhealthy", "c", "info", "integer"],
	["backend_busy", "c", "info", "integer"],
	["backend_fail", "c", "info", "integer"],
	["backend_reuse", "c", "info", "integer"],
	["backend_recycle", "c", "info", "integer"],
	["backend_retry", "c", "info", "integer"],
	["fetch_head", "c", "info", "integer"],
	["fetch_length", "c", "info", "integer"],
	["fetch_chunked", "c", "info", "integer"],
	["fetch_eof", "c", "info", "integer"],
	["fetch_bad", "c", "info", "integer"],
	["fetch_none", "c", "info", "integer"],
	["fetch_1xx", "c", "info", "integer"],
	["fetch_204", "c", "info", "integer"],
	["fetch_304", "c", "info", "integer"],
	["fetch_failed", "c", "info", "integer"],
	["fetch_no_thread", "c", "info", "integer"],
	["pools", "g", "info", "integer"],
	["threads", "g", "info", "integer", "≥ 1 (tests wait for == 10/20)"],
	["threads_limited", "c", "info", "integer"],
	["threads_created", "c", "info", "integer"],
	["threads_destroyed", "c", "info", "integer"],
	["threads_failed", "c", "info", "integer"],
	["thread_queue_len", "g", "info", "integer"],
	["busy_sleep", "c", "info", "integer", "went to waiting list"],
	["busy_wakeup", "c", "info", "integer"],
	["busy_killed", "c", "info", "integer"],
	["sess_queued", "c", "info", "integer"],
	["sess_dropped", "c", "info", "integer"],
	["req_dropped", "c", "info", "integer"],
	["n_object", "g", "info", "integer", "objects with storage"],
	["n_vampireobject", "g", "diag", "integer"],
	["n_objectcore", "g", "info", "integer", "incl. busy + HFM"],
	["n_objecthead", "g", "info", "integer", "distinct hashes"],
	["n_backend", "g", "info", "integer"],
	["n_expired", "c", "info", "integer"],
	["n_lru_nuked", "c", "info", "integer", "evicted for space"],
	["n_lru_moved", "c", "diag", "integer"],
	["n_lru_limited", "c", "info", "integer", "nuke_limit hit"],
	["losthdr", "c", "info", "integer"],
	["s_sess", "c", "info", "integer", "sessions total"],
	["n_pipe", "g", "info", "integer"],
	["pipe_limited", "c", "info", "integer"],
	["s_pipe", "c", "info", "integer"],
	["s_pass", "c", "info", "integer"],
	["s_fetch", "c", "info", "integer", "fetches (miss+pass)"],
	["s_bgfetch", "c", "info", "integer"],
	["s_synth", "c", "info", "integer"],
	["s_req_hdrbytes", "c", "info", "bytes"],
	["s_req_bodybytes", "c", "info", "bytes"],
	["s_resp_hdrbytes", "c", "info", "bytes"],
	["s_resp_bodybytes", "c", "info", "bytes"],
	["s_pipe_hdrbytes", "c", "info", "bytes"],
	["s_pipe_in", "c", "info", "bytes"],
	["s_pipe_out", "c", "info", "bytes"],
	["sess_closed", "c", "info", "integer"],
	["sess_closed_err", "c", "info", "integer"],
	["sess_readahead", "c", "info", "integer"],
	["sess_herd", "c", "diag", "integer"],
	["sc_rem_close", "c", "diag", "integer"],
	["sc_req_close", "c", "diag", "integer"],
	["sc_req_http10", "c", "diag", "integer"],
	["sc_rx_bad", "c", "diag", "integer"],
	["sc_rx_body", "c", "diag", "integer"],
	["sc_rx_junk", "c", "diag", "integer"],
	["sc_rx_overflow", "c", "diag", "integer"],
	["sc_rx_timeout", "c", "diag", "integer"],
	["sc_rx_close_idle", "c", "diag", "integer"],
	["sc_tx_pipe", "c", "diag", "integer"],
	["sc_tx_error", "c", "diag", "integer"],
	["sc_tx_eof", "c", "diag", "integer"],
	["sc_resp_close", "c", "diag", "integer"],
	["sc_overload", "c", "diag", "integer"],
	["sc_pipe_overflow", "c", "diag", "integer"],
	["sc_range_short", "c", "diag", "integer"],
	["sc_req_http20", "c", "diag", "integer"],
	["sc_vcl_failure", "c", "diag", "integer"],
	["client_resp_500", "c", "diag", "integer"],
	["ws_backend_overflow", "c", "diag", "integer"],
	["ws_client_overflow", "c", "diag", "integer"],
	["ws_thread_overflow", "c", "diag", "integer"],
	["ws_session_overflow", "c", "diag", "integer"],
	["shm_records", "c", "diag", "integer"],
	["shm_writes", "c", "diag", "integer"],
	["shm_flushes", "c", "diag", "integer"],
	["shm_cont", "c", "diag", "integer"],
	["shm_cycles", "c", "diag", "integer"],
	["backend_req", "c", "info", "integer"],
	["n_vcl", "g", "info", "integer"],
	["n_vcl_avail", "g", "diag", "integer"],
	["n_vcl_discard", "g", "diag", "integer"],
	["vcl_fail", "c", "info", "integer", "VCL failures"],
	["bans", "g", "info", "integer", "list length"],
	["bans_completed", "g", "diag", "integer"],
	["bans_obj", "g", "diag", "integer"],
	["bans_req", "g", "diag", "integer"],
	["bans_added", "c", "diag", "integer"],
	["bans_deleted", "c", "diag", "integer"],
	["bans_tested", "c", "diag", "integer"],
	["bans_obj_killed", "c", "diag", "integer"],
	["bans_lurker_tested", "c", "diag", "integer"],
	["bans_tests_tested", "c", "diag", "integer"],
	["bans_lurker_tests_tested", "c", "diag", "integer"],
	["bans_lurker_obj_killed", "c", "diag", "integer"],
	["bans_lurker_obj_killed_cutoff", "c", "diag", "integer"],
	["bans_dups", "c", "diag", "integer"],
	["bans_lurker_contention", "c", "diag", "integer"],
	["bans_persisted_bytes", "g", "diag", "bytes"],
	["bans_persisted_fragmentation", "g", "diag", "bytes"],
	["n_purges", "c", "info", "integer"],
	["n_obj_purged", "c", "info", "integer"],
	["exp_mailed", "c", "diag", "integer"],
	["exp_received", "c", "diag", "integer"],
	["hcb_nolock", "c", "debug", "integer"],
	["hcb_lock", "c", "debug", "integer"],
	["hcb_insert", "c", "debug", "integer"],
	["esi_errors", "c", "diag", "integer"],
	["esi_warnings", "c", "diag", "integer"],
	["vmods", "g", "info", "integer"],
	["n_gzip", "c", "info", "integer"],
	["n_gunzip", "c", "info", "integer"],
	["n_test_gunzip", "c", "info", "integer"],
]);

export const managerCounters = group("mgt", "Management process counters", 20, [
	["uptime", "c", "info", "duration"],
	["child_start", "c", "diag", "integer"],
	["child_exit", "c", "diag", "integer"],
	["child_stop", "c", "diag", "integer"],
	["child_died", "c", "diag", "integer"],
	["child_dump", "c", "diag", "integer"],
	["child_panic", "c", "diag", "integer"],
]);

export const storageCounters = group("sma", "Storage counters", 40, [
	["c_req", "c", "info", "integer"],
	["c_fail", "c", "info", "integer"],
	["c_bytes", "c", "info", "bytes"],
	["c_freed", "c", "info", "bytes"],
	["g_alloc", "g", "info", "integer"],
	["g_bytes", "g", "info", "bytes"],
	["g_space", "g", "info", "bytes"],
]);

export const fileStorageCounters = group("smf", "File storage counters", 50, [
	["c_req", "c", "info", "integer"],
	["c_fail", "c", "info", "integer"],
	["c_bytes", "c", "info", "bytes"],
	["c_freed", "c", "info", "bytes"],
	["g_alloc", "g", "info", "integer"],
	["g_bytes", "g", "info", "bytes"],
	["g_space", "g", "info", "bytes"],
	["g_smf", "g", "info", "integer"],
	["g_smf_frag", "g", "info", "integer"],
	["g_smf_large", "g", "info", "integer"],
]);

export const backendCounters = group("vbe", "Backend counters", 60, [
	["happy", "b", "info", "bitmap"],
	["bereq_hdrbytes", "c", "info", "bytes"],
	["bereq_bodybytes", "c", "info", "bytes"],
	["beresp_hdrbytes", "c", "info", "bytes"],
	["beresp_bodybytes", "c", "info", "bytes"],
	["pipe_hdrbytes", "c", "info", "bytes"],
	["pipe_out", "c", "info", "bytes"],
	["pipe_in", "c", "info", "bytes"],
	["conn", "g", "info", "integer"],
	["req", "c", "info", "integer"],
	["unhealthy", "c", "info", "integer"],
	["busy", "c", "info", "integer"],
	["fail", "c", "info", "integer"],
	["fail_eacces", "c", "diag", "integer"],
	["fail_eaddrnotavail", "c", "diag", "integer"],
	["fail_econnrefused", "c", "diag", "integer"],
	["fail_enetunreach", "c", "diag", "integer"],
	["fail_etimedout", "c", "diag", "integer"],
	["fail_other", "c", "diag", "integer"],
	["helddown", "c", "diag", "integer"],
]);

export const poolCounters = group("mempool", "Memory pool counters", 30, [
	["live", "g", "debug", "integer"],
	["pool", "g", "debug", "integer"],
	["sz_wanted", "g", "debug", "bytes"],
	["sz_actual", "g", "debug", "bytes"],
	["allocs", "c", "debug", "integer"],
	["frees", "c", "debug", "integer"],
	["recycle", "c", "debug", "integer"],
	["timeout", "c", "debug", "integer"],
	["toosmall", "c", "debug", "integer"],
	["surplus", "c", "debug", "integer"],
	["randry", "c", "debug", "integer"],
]);

const positions = new Map(mainCounters.counters.map((counter, index) => [counter.name, index]));
type MainName = string;

/** Place of a MAIN counter; throws on a name that is not declared. */
export function mainCounter(name: MainName): number {
	const position = positions.get(name);
	if (position === undefined) throw new Error(`no counter MAIN.${name}`);
	return position;
}
