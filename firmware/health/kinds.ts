/** Every kind of check by its name; an unknown one does not type-check. */
import type { CheckConfig } from "../config/model.ts";
import type { Outcome, ProbeEnvironment } from "./checker.ts";
import { checkDns } from "./dns.ts";
import { checkHttp } from "./http.ts";
import { checkMisc } from "./misc-check.ts";
import { checkPing } from "./ping.ts";
import { checkSmtp } from "./smtp.ts";
import { checkSsl } from "./ssl.ts";
import { checkTcp } from "./tcp.ts";
import { checkUdp } from "./udp.ts";

/** A check that is asked, as opposed to FILE_CHECK and BFD_CHECK, which tell by themselves. */
export type ProbedCheck = Exclude<CheckConfig, { readonly kind: "FILE_CHECK" | "BFD_CHECK" }>;

export function isProbed(check: CheckConfig): check is ProbedCheck {
	return check.kind !== "FILE_CHECK" && check.kind !== "BFD_CHECK";
}

/** Starts one probe; the contract is `Checker`'s. `keeps`: a TCP_CHECK that passes hands its connection over. */
export function startProbe(
	check: ProbedCheck,
	url: number,
	environment: ProbeEnvironment,
	done: (outcome: Outcome) => void,
	keeps = false,
): () => void {
	switch (check.kind) {
		case "TCP_CHECK":
			return checkTcp(check, environment, done, keeps);
		case "HTTP_GET":
		case "SSL_GET":
			return (check.kind === "HTTP_GET" ? checkHttp : checkSsl)(check, url, environment, done);
		case "SMTP_CHECK":
			return checkSmtp(check, url, environment, done);
		case "DNS_CHECK":
			return checkDns(check, url, environment, done);
		case "PING_CHECK":
			return checkPing(check, url, environment, done);
		case "UDP_CHECK":
			return checkUdp(check, url, environment, done);
		case "MISC_CHECK":
			return checkMisc(check, url, environment, done);
	}
}
