/** vmod proxy: what a PROXY v2 header says beyond the addresses. Without one: null, false, 0. */
import { vmod } from "./vmod.ts";

const sslBit = 1;
const certificateOnConnectionBit = 2;
const certificateInSessionBit = 4;

export const proxy = vmod("proxy", [
	["alpn", "", "STRING", (c) => c.connection.proxy?.alpn ?? null],
	["authority", "", "STRING", (c) => c.connection.proxy?.authority ?? null],
	["is_ssl", "", "BOOL", (c) => ((c.connection.proxy?.ssl?.client ?? 0) & sslBit) !== 0],
	[
		"client_has_cert_sess",
		"",
		"BOOL",
		(c) => ((c.connection.proxy?.ssl?.client ?? 0) & certificateInSessionBit) !== 0,
	],
	[
		"client_has_cert_conn",
		"",
		"BOOL",
		(c) => ((c.connection.proxy?.ssl?.client ?? 0) & certificateOnConnectionBit) !== 0,
	],
	["ssl_verify_result", "", "INT", (c) => c.connection.proxy?.ssl?.verify ?? 0],
	["ssl_version", "", "STRING", (c) => c.connection.proxy?.ssl?.version ?? null],
	["client_cert_cn", "", "STRING", (c) => c.connection.proxy?.ssl?.commonName ?? null],
	["ssl_cipher", "", "STRING", (c) => c.connection.proxy?.ssl?.cipher ?? null],
	["cert_sign", "", "STRING", (c) => c.connection.proxy?.ssl?.signatureAlgorithm ?? null],
	["cert_key", "", "STRING", (c) => c.connection.proxy?.ssl?.keyAlgorithm ?? null],
]);
