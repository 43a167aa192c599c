import type { EsiRules } from "../esi/parser.ts";
import type { RequestRules } from "../http/request.ts";
import type { LocalSettings } from "../http2/settings.ts";

/** The parameters that the workers act on. Durations in seconds, sizes in bytes. */
export interface Parameters {
	readonly [name: string]: string | number | boolean;
}

export interface WorkerParameters {
	defaultTtl: number;
	defaultGrace: number;
	defaultKeep: number;
	clockSkew: number;
	rfc9111: boolean;
	shortlived: number;
	connectTimeout: number;
	firstByteTimeout: number;
	betweenBytesTimeout: number;
	backendIdleTimeout: number;
	timeoutIdle: number;
	idleSendTimeout: number;
	sendTimeout: number;
	pipeTimeout: number;
	pipeSessMax: number;
	/** Of one worker. */
	fetchesAtOnce: number;
	maxRestarts: number;
	maxRetries: number;
	rangeSupport: boolean;
	gzipSupport: boolean;
	gzipLevel: number;
	remoteErrorHolddown: number;
	preferIpv6: boolean;
	banDuplicates: boolean;
	banLurkerAge: number;
	banLurkerSleep: number;
	banLurkerBatch: number;
	banCutoff: number;
	/** Head limits of requests and responses. */
	request: RequestRules;
	response: { readonly headBytes: number; readonly lineBytes: number; readonly headerLines: number };
	/** What clients of HTTP/2 are held to; undefined: it is not spoken (feature http2). */
	http2: LocalSettings | undefined;
	validateHeaders: boolean;
	relaxedDates: boolean;
	synchronousLog: boolean;
	esi: EsiRules;
	/** A part that fails, and is not to be left out (onerror="continue"), makes its page fail. */
	esiFailsWhole: boolean;
	esiDepth: number;
}

/** Reads the workers' view out of all parameters by name. */
export function workerParameters(all: Parameters): WorkerParameters {
	const number = (name: string) => Number(all[name]);
	const flag = (name: string) => all[name] === true;
	const bits = (name: string) => String(all[name] ?? "").split(",");
	const headerLines = number("http_max_hdr");
	return {
		defaultTtl: number("default_ttl"),
		defaultGrace: number("default_grace"),
		defaultKeep: number("default_keep"),
		clockSkew: number("clock_skew"),
		rfc9111: flag("rfc9111"),
		shortlived: number("shortlived"),
		connectTimeout: number("connect_timeout"),
		firstByteTimeout: number("first_byte_timeout"),
		betweenBytesTimeout: number("between_bytes_timeout"),
		backendIdleTimeout: number("backend_idle_timeout"),
		timeoutIdle: number("timeout_idle"),
		idleSendTimeout: number("idle_send_timeout"),
		sendTimeout: number("send_timeout"),
		pipeTimeout: number("pipe_timeout"),
		pipeSessMax: number("pipe_sess_max"),
		fetchesAtOnce: number("thread_pool_max"),
		maxRestarts: number("max_restarts"),
		maxRetries: number("max_retries"),
		rangeSupport: flag("http_range_support"),
		gzipSupport: flag("http_gzip_support"),
		gzipLevel: number("gzip_level"),
		remoteErrorHolddown: number("backend_remote_error_holddown"),
		preferIpv6: flag("prefer_ipv6"),
		banDuplicates: flag("ban_dups"),
		banLurkerAge: number("ban_lurker_age"),
		banLurkerSleep: number("ban_lurker_sleep"),
		banLurkerBatch: number("ban_lurker_batch"),
		banCutoff: number("ban_cutoff"),
		request: {
			headBytes: number("http_req_size"),
			lineBytes: number("http_req_hdr_len"),
			headerLines,
			httpsTargets: bits("feature").includes("+https_scheme"),
		},
		response: { headBytes: number("http_resp_size"), lineBytes: number("http_resp_hdr_len"), headerLines },
		relaxedDates: bits("feature").includes("+http_date_postel"),
		http2: bits("feature").includes("+http2")
			? {
					headerTableBytes: number("h2_header_table_size"),
					concurrentStreams: number("h2_max_concurrent_streams"),
					windowBytes: number("h2_initial_window_size"),
					frameBytes: number("h2_max_frame_size"),
					headerListBytes: number("h2_max_header_list_size"),
					windowIncrementBytes: number("h2_rx_window_increment"),
					windowLowWaterBytes: number("h2_rx_window_low_water"),
					headBytes: number("http_req_size"),
					headerLines,
					nocheck: bits("debug").includes("+h2_nocheck"),
				}
			: undefined,
		validateHeaders: bits("feature").includes("+validate_headers"),
		esi: {
			xmlCheck: !bits("feature").includes("+esi_disable_xml_check"),
			ignoreHttps: bits("feature").includes("+esi_ignore_https"),
			ignoreOtherElements: bits("feature").includes("+esi_ignore_other_elements"),
			removeBom: bits("feature").includes("+esi_remove_bom"),
		},
		esiFailsWhole: bits("feature").includes("+esi_include_onerror"),
		esiDepth: number("max_esi_depth"),
		synchronousLog: bits("debug").includes("+syncvsl"),
	};
}
