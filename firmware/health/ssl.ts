/** SSL_GET: HTTP_GET over TLS. */
import type { Checker } from "./checker.ts";
import { probeHttp } from "./http.ts";
import { TlsStream } from "./tls-stream.ts";

export const checkSsl: Checker<"SSL_GET"> = (check, url, environment, done) =>
	probeHttp(check, url, done, (owner) => {
		const compliant = check.urls[url]?.tlsCompliant ?? false;
		return new TlsStream(check.target, { serverName: check.serverName, compliant }, environment, owner);
	});
