/**
 * Every variable of VCL 4.0 and 4.1: its type, where it may be read, set and unset, and the member of the runtime's
 * records it is. Reference §5.
 */
import { type MethodMask, methodMask } from "./methods.ts";
import type { SimpleType } from "./types.ts";

export interface Variable {
	readonly name: string;
	readonly type: SimpleType;
	/** Syntax versions that know it: 40, 41. */
	readonly lowest: number;
	readonly highest: number;
	readonly read: MethodMask;
	readonly set: MethodMask;
	readonly unset: MethodMask;
	/** Member path from the context. */
	readonly member: string;
	/** Assigned through this method of the record instead of by assignment. */
	readonly setter: string | null;
	/** Negative durations become 0. */
	readonly clamped: boolean;
}

const b = "b_response, b_error";

/** name, type, member, read, set, unset, versions ("" = all, "40", "41"). Header wildcards end in ".http.". */
const rows: readonly (readonly [string, SimpleType, string, string, string?, string?, string?])[] = [
	["client.identity", "STRING", "connection.identity", "client, backend", "client"],
	["client.ip", "IP", "connection.clientIp", "client, backend"],
	["server.hostname", "STRING", "host.hostname", "all"],
	["server.identity", "STRING", "host.identity", "all"],
	["server.ip", "IP", "connection.serverIp", "client, backend"],
	["remote.ip", "IP", "connection.remoteIp", "client, backend"],
	["local.endpoint", "STRING", "connection.endpoint", "client, backend", "", "", "41"],
	["local.ip", "IP", "connection.localIp", "client, backend"],
	["local.socket", "STRING", "connection.socket", "client, backend", "", "", "41"],

	["req", "HTTP", "req", "client"],
	["req.http.", "HEADER", "req", "client", "client", "client"],
	["req.backend_hint", "BACKEND", "req.backendHint", "client", "client"],
	["req.can_gzip", "BOOL", "req.canGzip", "client"],
	["req.esi", "BOOL", "req.esi", "client", "client", "", "40"],
	["req.esi_level", "INT", "req.esiLevel", "client"],
	["req.grace", "DURATION", "req.grace", "client", "client"],
	["req.hash", "BLOB", "req.hash", "hit, miss, pass, purge, deliver"],
	["req.hash_always_miss", "BOOL", "req.hashAlwaysMiss", "client", "client"],
	["req.hash_ignore_busy", "BOOL", "req.hashIgnoreBusy", "client", "client"],
	["req.hash_ignore_vary", "BOOL", "req.hashIgnoreVary", "client", "client"],
	["req.is_hitmiss", "BOOL", "req.isHitmiss", "client"],
	["req.is_hitpass", "BOOL", "req.isHitpass", "client"],
	["req.method", "STRING", "req.method", "client", "client"],
	["req.proto", "STRING", "req.proto", "client", "client", "", "40"],
	["req.proto", "STRING", "req.proto", "client", "", "", "41"],
	["req.restarts", "INT", "req.restarts", "client"],
	["req.storage", "STEVEDORE", "req.storage", "client", "client"],
	["req.time", "TIME", "req.time", "client"],
	["req.transport", "STRING", "req.transport", "client"],
	["req.ttl", "DURATION", "req.ttl", "client", "client"],
	["req.url", "STRING", "req.url", "client", "client"],
	["req.xid", "STRING", "req.xid", "client"],

	["req_top.http.", "HEADER", "reqTop", "client"],
	["req_top.method", "STRING", "reqTop.method", "client"],
	["req_top.proto", "STRING", "reqTop.proto", "client"],
	["req_top.time", "TIME", "reqTop.time", "client"],
	["req_top.url", "STRING", "reqTop.url", "client"],

	["bereq", "HTTP", "bereq", "backend"],
	["bereq.http.", "HEADER", "bereq", "pipe, backend", "pipe, backend", "pipe, backend"],
	["bereq.backend", "BACKEND", "bereq.backend", "pipe, backend", "pipe, backend"],
	["bereq.between_bytes_timeout", "DURATION", "bereq.betweenBytesTimeout", "backend", "backend"],
	["bereq.body", "BODY", "bereq", "", "", "b_fetch"],
	["bereq.connect_timeout", "DURATION", "bereq.connectTimeout", "pipe, backend", "pipe, backend"],
	["bereq.first_byte_timeout", "DURATION", "bereq.firstByteTimeout", "backend", "backend"],
	["bereq.hash", "BLOB", "bereq.hash", "pipe, backend"],
	["bereq.is_bgfetch", "BOOL", "bereq.isBgfetch", "backend"],
	["bereq.is_hitmiss", "BOOL", "bereq.isHitmiss", "backend"],
	["bereq.is_hitpass", "BOOL", "bereq.isHitpass", "backend"],
	["bereq.method", "STRING", "bereq.method", "pipe, backend", "pipe, backend"],
	["bereq.proto", "STRING", "bereq.proto", "pipe, backend", "pipe, backend", "", "40"],
	["bereq.proto", "STRING", "bereq.proto", "pipe, backend", "", "", "41"],
	["bereq.retries", "INT", "bereq.retries", "backend"],
	["bereq.time", "TIME", "bereq.time", "pipe, backend"],
	["bereq.uncacheable", "BOOL", "bereq.uncacheable", "backend"],
	["bereq.url", "STRING", "bereq.url", "pipe, backend", "pipe, backend"],
	["bereq.xid", "STRING", "bereq.xid", "pipe, backend"],

	["beresp", "HTTP", "beresp", b],
	["beresp.http.", "HEADER", "beresp", b, b, b],
	["beresp.age", "DURATION", "beresp.age", b],
	["beresp.backend", "BACKEND", "beresp.backend", b],
	["beresp.backend.ip", "IP", "beresp.backendIp", "b_response", "", "", "40"],
	["beresp.backend.name", "STRING", "beresp.backend?.name", b],
	["beresp.body", "BODY", "beresp", "", "b_error"],
	["beresp.do_esi", "BOOL", "beresp.doEsi", b, b],
	["beresp.do_gunzip", "BOOL", "beresp.doGunzip", b, b],
	["beresp.do_gzip", "BOOL", "beresp.doGzip", b, b],
	["beresp.do_stream", "BOOL", "beresp.doStream", b, b],
	["beresp.filters", "STRING", "beresp.filters", "b_response", "b_response"],
	["beresp.grace", "DURATION", "beresp.grace", b, b],
	["beresp.keep", "DURATION", "beresp.keep", b, b],
	["beresp.proto", "STRING", "beresp.proto", b, b, "", "40"],
	["beresp.proto", "STRING", "beresp.proto", b, "", "", "41"],
	["beresp.reason", "STRING", "beresp.reason", b, b],
	["beresp.status", "INT", "beresp.status", b, b],
	["beresp.storage", "STEVEDORE", "beresp.storage", b, b],
	["beresp.storage_hint", "STRING", "beresp.storageHint", b, b, "", "40"],
	["beresp.time", "TIME", "beresp.time", b],
	["beresp.ttl", "DURATION", "beresp.ttl", b, b],
	["beresp.uncacheable", "BOOL", "beresp.uncacheable", b, b],
	["beresp.was_304", "BOOL", "beresp.was304", b],

	["obj.http.", "HEADER", "obj", "hit"],
	["obj.age", "DURATION", "obj.age", "hit, deliver"],
	["obj.can_esi", "BOOL", "obj.canEsi", "hit, deliver"],
	["obj.grace", "DURATION", "obj.grace", "hit, deliver"],
	["obj.hits", "INT", "obj.hits", "hit, deliver"],
	["obj.keep", "DURATION", "obj.keep", "hit, deliver"],
	["obj.proto", "STRING", "obj.proto", "hit"],
	["obj.reason", "STRING", "obj.reason", "hit"],
	["obj.status", "INT", "obj.status", "hit"],
	["obj.storage", "STEVEDORE", "obj.storage", "hit, deliver"],
	["obj.time", "TIME", "obj.time", "hit, deliver"],
	["obj.ttl", "DURATION", "obj.ttl", "hit, deliver"],
	["obj.uncacheable", "BOOL", "obj.uncacheable", "deliver"],

	["resp", "HTTP", "resp", "deliver, synth"],
	["resp.http.", "HEADER", "resp", "deliver, synth", "deliver, synth", "deliver, synth"],
	["resp.body", "BODY", "resp", "", "synth"],
	["resp.do_esi", "BOOL", "resp.doEsi", "deliver, synth", "deliver, synth", "", "41"],
	["resp.filters", "STRING", "resp.filters", "deliver, synth", "deliver, synth"],
	["resp.is_streaming", "BOOL", "resp.isStreaming", "deliver, synth"],
	["resp.proto", "STRING", "resp.proto", "deliver, synth", "deliver, synth", "", "40"],
	["resp.proto", "STRING", "resp.proto", "deliver, synth", "", "", "41"],
	["resp.reason", "STRING", "resp.reason", "deliver, synth", "deliver, synth"],
	["resp.status", "INT", "resp.status", "deliver, synth", "deliver, synth"],
	["resp.time", "TIME", "resp.time", "deliver, synth"],

	["now", "TIME", "now", "all"],
	["sess.idle_send_timeout", "DURATION", "session.idleSendTimeout", "client", "client"],
	["sess.send_timeout", "DURATION", "session.sendTimeout", "client", "client"],
	["sess.timeout_idle", "DURATION", "session.timeoutIdle", "client", "client"],
	["sess.timeout_linger", "DURATION", "session.timeoutLinger", "client", "client"],
	["sess.xid", "STRING", "session.xid", "client, backend", "", "", "41"],
];

const clampedNames = new Set([
	"beresp.ttl",
	"beresp.grace",
	"beresp.keep",
	"bereq.connect_timeout",
	"bereq.first_byte_timeout",
	"bereq.between_bytes_timeout",
	"sess.idle_send_timeout",
	"sess.send_timeout",
	"sess.timeout_idle",
	"sess.timeout_linger",
]);

export const variables: readonly Variable[] = rows.map(
	([name, type, member, read, set = "", unset = "", version = ""]) => ({
		name,
		type,
		member,
		lowest: version === "41" ? 41 : 40,
		highest: version === "40" ? 40 : 41,
		read: methodMask(read),
		set: methodMask(set),
		unset: methodMask(unset),
		setter: name.endsWith(".status") ? "setStatus" : null,
		clamped: clampedNames.has(name),
	}),
);
