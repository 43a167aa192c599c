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
	about: string,
];
const kinds = { c: "counter", g: "gauge", b: "bitmap" } as const;

function group(name: string, about: string, order: number, rows: readonly Row[]): CounterGroup {
	const counters = rows.map(([counter, kind, level, format, text]) => ({
		name: counter,
		kind: kinds[kind],
		level,
		format,
		about: text,
	}));
	return { name, about, order, counters };
}

/** The workers' own counters. The position of a name here is its place in memory. */
export const mainCounters = group("main", "Main counters", 10, [
	["summs", "c", "debug", "integer", "Times that the workers' counters were added up"],
	["uptime", "c", "info", "duration", "Seconds since the workers were started"],
	["sess_conn", "c", "info", "integer", "Client connections taken"],
	["sess_fail", "c", "info", "integer", "Client connections that could not be taken"],
	["sess_fail_econnaborted", "c", "info", "integer", "Client connections not taken: the client had gone"],
	["sess_fail_eintr", "c", "info", "integer", "Client connections not taken: a signal came in between"],
	["sess_fail_emfile", "c", "info", "integer", "Client connections not taken: no descriptor was left"],
	["sess_fail_ebadf", "c", "info", "integer", "Client connections not taken: the listener was closed"],
	["sess_fail_enomem", "c", "info", "integer", "Client connections not taken: no memory was left"],
	["sess_fail_other", "c", "info", "integer", "Client connections not taken: another reason"],
	["client_req_400", "c", "info", "integer", "Requests answered 400: malformed"],
	["client_req_417", "c", "info", "integer", "Requests answered 417: unknown expectation"],
	["client_req", "c", "info", "integer", "Requests that could be read"],
	["esi_req", "c", "info", "integer", "Requests for parts of a page (ESI)"],
	["cache_hit", "c", "info", "integer", "Requests answered from the cache"],
	["cache_hit_grace", "c", "info", "integer", "Requests answered past an object's lifetime, in its grace"],
	["cache_hitpass", "c", "info", "integer", "Requests that a hit-for-pass let through"],
	["cache_hitmiss", "c", "info", "integer", "Requests that a hit-for-miss let through"],
	["cache_miss", "c", "info", "integer", "Requests that had to be fetched"],
	["beresp_uncacheable", "c", "info", "integer", "Answers of backends that may not be stored"],
	[
		"beresp_shortlived",
		"c",
		"info",
		"integer",
		"Answers of backends that live too short to be stored with others",
	],
	["backend_conn", "c", "info", "integer", "Connections to backends opened"],
	["backend_unhealthy", "c", "info", "integer", "Connections not tried: the backend is sick"],
	["backend_busy", "c", "info", "integer", "Connections not tried: max_connections are in use"],
	["backend_fail", "c", "info", "integer", "Connections to backends that failed"],
	["backend_reuse", "c", "info", "integer", "Requests on a connection that was open"],
	["backend_recycle", "c", "info", "integer", "Connections to backends kept for another request"],
	["backend_retry", "c", "info", "integer", "Requests sent again: the kept connection was dead"],
	["fetch_head", "c", "info", "integer", "Answers without a body, to HEAD"],
	["fetch_length", "c", "info", "integer", "Bodies of a stated length"],
	["fetch_chunked", "c", "info", "integer", "Bodies in chunks"],
	["fetch_eof", "c", "info", "integer", "Bodies that end with the connection"],
	["fetch_bad", "c", "info", "integer", "Bodies whose end cannot be told"],
	["fetch_none", "c", "info", "integer", "Answers without a body"],
	["fetch_1xx", "c", "info", "integer", "Answers without a body: status 1xx"],
	["fetch_204", "c", "info", "integer", "Answers without a body: status 204"],
	["fetch_304", "c", "info", "integer", "Answers without a body: status 304"],
	["fetch_failed", "c", "info", "integer", "Fetches that failed"],
	["fetch_no_thread", "c", "info", "integer", "Fetches refused: thread_pool_max is reached"],
	["pools", "g", "info", "integer", "Thread pools"],
	["threads", "g", "info", "integer", "Threads at work"],
	["threads_limited", "c", "info", "integer", "Times that more threads were wanted than are permitted"],
	["threads_created", "c", "info", "integer", "Threads started"],
	["threads_destroyed", "c", "info", "integer", "Threads ended"],
	["threads_failed", "c", "info", "integer", "Threads that could not be started"],
	["thread_queue_len", "g", "info", "integer", "Sessions that wait for a thread"],
	["busy_sleep", "c", "info", "integer", "Requests put to wait for a fetch that was under way"],
	["busy_wakeup", "c", "info", "integer", "Requests that went on after such a wait"],
	["busy_killed", "c", "info", "integer", "Requests that might not wait so: too many did"],
	["sess_queued", "c", "info", "integer", "Sessions that waited for a thread"],
	["sess_dropped", "c", "info", "integer", "Sessions dropped: no thread was free"],
	["req_dropped", "c", "info", "integer", "Streams of HTTP/2 given up: out of some resource"],
	["n_object", "g", "info", "integer", "Objects in the cache"],
	["n_vampireobject", "g", "diag", "integer", "Objects not looked at yet since the start"],
	["n_objectcore", "g", "info", "integer", "Objects, those on their way and markers"],
	["n_objecthead", "g", "info", "integer", "Different hashes that have objects"],
	["n_backend", "g", "info", "integer", "Backends"],
	["n_expired", "c", "info", "integer", "Objects gone at the end of their time"],
	["n_lru_nuked", "c", "info", "integer", "Objects evicted to make room"],
	["n_lru_moved", "c", "diag", "integer", "Objects marked as recently used"],
	["n_lru_limited", "c", "info", "integer", "Objects not stored: nuke_limit was reached"],
	["losthdr", "c", "info", "integer", "Header fields that found no room"],
	["s_sess", "c", "info", "integer", "Sessions begun"],
	["n_pipe", "g", "info", "integer", "Pipes open"],
	["pipe_limited", "c", "info", "integer", "Pipes refused: pipe_sess_max"],
	["s_pipe", "c", "info", "integer", "Requests piped"],
	["s_pass", "c", "info", "integer", "Requests passed"],
	["s_fetch", "c", "info", "integer", "Fetches begun, passes included"],
	["s_bgfetch", "c", "info", "integer", "Fetches begun in the background"],
	["s_synth", "c", "info", "integer", "Answers made by VCL"],
	["s_req_hdrbytes", "c", "info", "bytes", "Bytes of requests' heads"],
	["s_req_bodybytes", "c", "info", "bytes", "Bytes of requests' bodies"],
	["s_resp_hdrbytes", "c", "info", "bytes", "Bytes of answers' heads"],
	["s_resp_bodybytes", "c", "info", "bytes", "Bytes of answers' bodies"],
	["s_pipe_hdrbytes", "c", "info", "bytes", "Bytes of the heads of piped requests"],
	["s_pipe_in", "c", "info", "bytes", "Bytes piped from clients"],
	["s_pipe_out", "c", "info", "bytes", "Bytes piped to clients"],
	["sess_closed", "c", "info", "integer", "Sessions ended in good order"],
	["sess_closed_err", "c", "info", "integer", "Sessions ended by an error"],
	["sess_readahead", "c", "info", "integer", "Requests that were there with the one before"],
	["sess_herd", "c", "diag", "integer", "Sessions put to wait for their next request"],
	["sc_rem_close", "c", "diag", "integer", "Sessions ended: the client closed"],
	["sc_req_close", "c", "diag", "integer", "Sessions ended: the request asked for it"],
	["sc_req_http10", "c", "diag", "integer", "Sessions ended: HTTP/1.0"],
	["sc_rx_bad", "c", "diag", "integer", "Sessions ended: a request could not be read"],
	["sc_rx_body", "c", "diag", "integer", "Sessions ended: a request's body failed"],
	["sc_rx_junk", "c", "diag", "integer", "Sessions ended: what came was no request"],
	["sc_rx_overflow", "c", "diag", "integer", "Sessions ended: a request was too large"],
	["sc_rx_timeout", "c", "diag", "integer", "Sessions ended: a request came too slowly"],
	["sc_rx_close_idle", "c", "diag", "integer", "Sessions ended: idle for too long"],
	["sc_tx_pipe", "c", "diag", "integer", "Sessions ended: after a pipe"],
	["sc_tx_error", "c", "diag", "integer", "Sessions ended: the answer could not be sent"],
	["sc_tx_eof", "c", "diag", "integer", "Sessions ended: the answer's end is the connection's"],
	["sc_resp_close", "c", "diag", "integer", "Sessions ended: the answer asked for it"],
	["sc_overload", "c", "diag", "integer", "Sessions ended: out of some resource"],
	["sc_pipe_overflow", "c", "diag", "integer", "Sessions ended: too many pipes"],
	["sc_range_short", "c", "diag", "integer", "Sessions ended: less came than the range promised"],
	["sc_req_http20", "c", "diag", "integer", "Sessions ended: HTTP/2 is not spoken"],
	["sc_vcl_failure", "c", "diag", "integer", "Sessions ended: the VCL failed"],
	["client_resp_500", "c", "diag", "integer", "Answers that could not be put together"],
	["ws_backend_overflow", "c", "diag", "integer", "Fetches that ran out of workspace"],
	["ws_client_overflow", "c", "diag", "integer", "Requests that ran out of workspace"],
	["ws_thread_overflow", "c", "diag", "integer", "Threads that ran out of workspace"],
	["ws_session_overflow", "c", "diag", "integer", "Sessions that ran out of workspace"],
	["shm_records", "c", "diag", "integer", "Records written to the log"],
	["shm_writes", "c", "diag", "integer", "Writes to the log"],
	["shm_flushes", "c", "diag", "integer", "Writes because a transaction's buffer was full"],
	["shm_cont", "c", "diag", "integer", "Writes to the log that had to wait"],
	["shm_cycles", "c", "diag", "integer", "Times that the log began again at its start"],
	["backend_req", "c", "info", "integer", "Requests sent to backends"],
	["n_vcl", "g", "info", "integer", "VCL programs loaded"],
	["n_vcl_avail", "g", "diag", "integer", "VCL programs that can be used"],
	["n_vcl_discard", "g", "diag", "integer", "VCL programs discarded, and still in use"],
	["vcl_fail", "c", "info", "integer", "Failures of VCL programs"],
	["bans", "g", "info", "integer", "Bans in the list"],
	["bans_completed", "g", "diag", "integer", "Bans that have nothing left to look at"],
	["bans_obj", "g", "diag", "integer", "Bans that look at objects alone"],
	["bans_req", "g", "diag", "integer", "Bans that look at requests"],
	["bans_added", "c", "diag", "integer", "Bans put on the list"],
	["bans_deleted", "c", "diag", "integer", "Bans gone from the list"],
	["bans_tested", "c", "diag", "integer", "Objects compared with bans by requests"],
	["bans_obj_killed", "c", "diag", "integer", "Objects that requests found banned"],
	["bans_lurker_tested", "c", "diag", "integer", "Objects compared with bans by the lurker"],
	["bans_tests_tested", "c", "diag", "integer", "Conditions of bans looked at by requests"],
	["bans_lurker_tests_tested", "c", "diag", "integer", "Conditions of bans looked at by the lurker"],
	["bans_lurker_obj_killed", "c", "diag", "integer", "Objects that the lurker found banned"],
	["bans_lurker_obj_killed_cutoff", "c", "diag", "integer", "Objects dropped by the lurker: ban_cutoff"],
	["bans_dups", "c", "diag", "integer", "Bans that a later one like them has replaced"],
	["bans_lurker_contention", "c", "diag", "integer", "Times that the lurker let requests go first"],
	["bans_persisted_bytes", "g", "diag", "bytes", "Bytes of the bans that are kept on disk"],
	["bans_persisted_fragmentation", "g", "diag", "bytes", "Bytes on disk of bans that are gone"],
	["n_purges", "c", "info", "integer", "Purges"],
	["n_obj_purged", "c", "info", "integer", "Objects purged"],
	["exp_mailed", "c", "diag", "integer", "Objects handed to expiry"],
	["exp_received", "c", "diag", "integer", "Objects that expiry has taken"],
	["hcb_nolock", "c", "debug", "integer", "Look-ups without a lock"],
	["hcb_lock", "c", "debug", "integer", "Look-ups with a lock"],
	["hcb_insert", "c", "debug", "integer", "Hashes added"],
	["esi_errors", "c", "diag", "integer", "Errors in ESI documents"],
	["esi_warnings", "c", "diag", "integer", "Warnings about ESI documents"],
	["vmods", "g", "info", "integer", "Modules loaded"],
	["n_gzip", "c", "info", "integer", "Bodies packed"],
	["n_gunzip", "c", "info", "integer", "Bodies unpacked"],
	["n_test_gunzip", "c", "info", "integer", "Packed bodies checked"],
]);

export const managerCounters = group("mgt", "Management process counters", 20, [
	["uptime", "c", "info", "duration", "Seconds since the manager was started"],
	["child_start", "c", "diag", "integer", "Times that the workers were started"],
	["child_exit", "c", "diag", "integer", "Times that a worker ended by itself"],
	["child_stop", "c", "diag", "integer", "Times that a worker was told to end"],
	["child_died", "c", "diag", "integer", "Times that a worker was ended by a signal"],
	["child_dump", "c", "diag", "integer", "Times that a worker left a core"],
	["child_panic", "c", "diag", "integer", "Times that a worker panicked"],
]);

export const storageCounters = group("sma", "Storage counters", 40, [
	["c_req", "c", "info", "integer", "Requests for room"],
	["c_fail", "c", "info", "integer", "Requests for room that failed"],
	["c_bytes", "c", "info", "bytes", "Bytes given out so far"],
	["c_freed", "c", "info", "bytes", "Bytes given back so far"],
	["g_alloc", "g", "info", "integer", "Pieces given out"],
	["g_bytes", "g", "info", "bytes", "Bytes in use"],
	["g_space", "g", "info", "bytes", "Bytes free"],
]);

export const fileStorageCounters = group("smf", "File storage counters", 50, [
	["c_req", "c", "info", "integer", "Requests for room"],
	["c_fail", "c", "info", "integer", "Requests for room that failed"],
	["c_bytes", "c", "info", "bytes", "Bytes given out so far"],
	["c_freed", "c", "info", "bytes", "Bytes given back so far"],
	["g_alloc", "g", "info", "integer", "Pieces given out"],
	["g_bytes", "g", "info", "bytes", "Bytes in use"],
	["g_space", "g", "info", "bytes", "Bytes free"],
	["g_smf", "g", "info", "integer", "Pieces of the file"],
	["g_smf_frag", "g", "info", "integer", "Small free pieces"],
	["g_smf_large", "g", "info", "integer", "Large free pieces"],
]);

export const backendCounters = group("vbe", "Backend counters", 60, [
	["happy", "b", "info", "bitmap", "Last probes, the latest one lowest"],
	["bereq_hdrbytes", "c", "info", "bytes", "Bytes of requests' heads"],
	["bereq_bodybytes", "c", "info", "bytes", "Bytes of requests' bodies"],
	["beresp_hdrbytes", "c", "info", "bytes", "Bytes of answers' heads"],
	["beresp_bodybytes", "c", "info", "bytes", "Bytes of answers' bodies"],
	["pipe_hdrbytes", "c", "info", "bytes", "Bytes of the heads of piped requests"],
	["pipe_out", "c", "info", "bytes", "Bytes piped to the backend"],
	["pipe_in", "c", "info", "bytes", "Bytes piped from the backend"],
	["conn", "g", "info", "integer", "Connections in use"],
	["req", "c", "info", "integer", "Requests sent"],
	["unhealthy", "c", "info", "integer", "Connections not tried: the backend is sick"],
	["busy", "c", "info", "integer", "Connections not tried: max_connections are in use"],
	["fail", "c", "info", "integer", "Connections that failed"],
	["fail_eacces", "c", "diag", "integer", "Connections that failed: not permitted"],
	["fail_eaddrnotavail", "c", "diag", "integer", "Connections that failed: no local address was free"],
	["fail_econnrefused", "c", "diag", "integer", "Connections that failed: refused"],
	["fail_enetunreach", "c", "diag", "integer", "Connections that failed: no way there"],
	["fail_etimedout", "c", "diag", "integer", "Connections that failed: no answer in time"],
	["fail_other", "c", "diag", "integer", "Connections that failed: another reason"],
	["helddown", "c", "diag", "integer", "Connections not tried: the last one failed just before"],
]);

export const poolCounters = group("mempool", "Memory pool counters", 30, [
	["live", "g", "debug", "integer", "In use"],
	["pool", "g", "debug", "integer", "In reserve"],
	["sz_wanted", "g", "debug", "bytes", "Bytes wanted of each"],
	["sz_actual", "g", "debug", "bytes", "Bytes of each"],
	["allocs", "c", "debug", "integer", "Taken"],
	["frees", "c", "debug", "integer", "Given back"],
	["recycle", "c", "debug", "integer", "Taken from the reserve"],
	["timeout", "c", "debug", "integer", "Let go: unused for too long"],
	["toosmall", "c", "debug", "integer", "Let go: too small"],
	["surplus", "c", "debug", "integer", "Let go: the reserve was full"],
	["randry", "c", "debug", "integer", "Times that the reserve was empty"],
]);

const positions = new Map(mainCounters.counters.map((counter, index) => [counter.name, index]));
type MainName = string;

/** Place of a MAIN counter; throws on a name that is not declared. */
export function mainCounter(name: MainName): number {
	const position = positions.get(name);
	if (position === undefined) throw new Error(`no counter MAIN.${name}`);
	return position;
}
