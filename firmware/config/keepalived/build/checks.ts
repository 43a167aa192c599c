/** The health checks of a real server, every default and inheritance resolved: check, real server, virtual server, kind. */
import type { CheckConfig, CheckTarget, CheckTiming, TrackFileConfig, UrlCheck } from "../../model.ts";
import { decodeEscapes } from "../lexer.ts";
import { parseWhole } from "../numbers.ts";
import type { Statement } from "../statement.ts";
import { readAddress } from "./address.ts";
import { Settings } from "./block.ts";
import type { BuildContext } from "./context.ts";

/** What a virtual or real server hands down to its checks; null is "not said". Times in microseconds. */
export interface CheckDefaults {
	readonly delayLoopMicros: number | null;
	readonly retry: number | null;
	readonly delayBeforeRetryMicros: number | null;
	readonly warmupMicros: number | null;
	readonly connectTimeoutMicros: number | null;
	readonly alpha: boolean;
	readonly virtualHost: string | null;
}

/** The real server that checks belong to; one record serves all of a virtual server, one after the other. */
export interface CheckOwner {
	address: string;
	family: "inet" | "inet6";
	port: number;
	/** As it is written: address and port. */
	words: readonly string[];
	/** `delay_loop` of the virtual server. */
	readonly serverDelayLoopMicros: number;
	readonly trackFiles: ReadonlyMap<string, TrackFileConfig>;
	readonly bfd: { has(name: string): boolean };
}

const CONNECT_TIMEOUT_MICROS = 5_000_000;
const DELAY_LOOP_MICROS = 60_000_000;

const titleOf = (owner: CheckOwner) => `real_server ${owner.words.join(" ")}`;

/** Adds one check block's checks to `into`: one, or several (SMTP_CHECK with `host`), or none, with a finding. */
export function buildChecks(
	context: BuildContext,
	statement: Statement,
	owner: CheckOwner,
	defaults: CheckDefaults,
	into: CheckConfig[],
): void {
	const add = (check: CheckConfig | null) => {
		if (check !== null) into.push(check);
	};
	switch (statement.keyword.name) {
		case "TCP_CHECK":
			into.push(connecting(context, "TCP_CHECK", statement, owner, defaults));
			break;
		case "PING_CHECK":
			into.push(connecting(context, "PING_CHECK", statement, owner, defaults));
			break;
		case "SMTP_CHECK":
			into.push(...buildSmtp(context, statement, owner, defaults));
			break;
		case "HTTP_GET":
		case "SSL_GET":
			add(buildHttp(context, statement.keyword.name, statement, owner, defaults));
			break;
		case "DNS_CHECK":
			add(buildDns(context, statement, owner, defaults));
			break;
		case "UDP_CHECK":
			add(buildUdp(context, statement, owner, defaults));
			break;
		case "MISC_CHECK":
			add(buildMisc(context, statement, owner, defaults));
			break;
		case "FILE_CHECK":
			add(buildFileCheck(context, statement, owner, defaults));
			break;
		case "BFD_CHECK":
			add(buildBfdCheck(context, statement, owner, defaults));
			break;
		default:
			throw new Error(`${statement.keyword.name} is no check`);
	}
}

function buildDns(
	context: BuildContext,
	statement: Statement,
	owner: CheckOwner,
	defaults: CheckDefaults,
): CheckConfig | null {
	const body = statement.body!;
	const settings = new Settings(body);
	const name = settings.word("name") ?? ".";
	if (/\.\./.test(name) || (name.startsWith(".") && name.length > 1) || name.length > 255) {
		context.error(
			settings.last("name")!,
			"bad-argument",
			`DNS_CHECK: "${name}" is no domain name`,
			"the check",
		);
		return null;
	}
	return {
		kind: "DNS_CHECK",
		target: readTarget(context, body, owner, defaults),
		type: settings.word("type") ?? "SOA",
		name,
		timing: readTiming(context, body, defaults, 3, null),
	};
}

function buildBfdCheck(
	context: BuildContext,
	statement: Statement,
	owner: CheckOwner,
	defaults: CheckDefaults,
): CheckConfig | null {
	const settings = new Settings(statement.body!);
	const name = settings.word("name");
	if (name === null || !owner.bfd.has(name)) {
		context.error(
			settings.last("name") ?? statement,
			"unknown-name",
			name === null
				? `${titleOf(owner)}: BFD_CHECK has no name`
				: `${titleOf(owner)}: there is no bfd_instance ${name}`,
			"the check",
		);
		return null;
	}
	const timing = readTiming(context, settings.body, defaults, 0, 0);
	return { kind: "BFD_CHECK", bfd: name, timing };
}

function connecting(
	context: BuildContext,
	kind: "TCP_CHECK" | "PING_CHECK",
	statement: Statement,
	owner: CheckOwner,
	defaults: CheckDefaults,
): CheckConfig {
	const body = statement.body!;
	return {
		kind,
		target: readTarget(context, body, owner, defaults),
		timing: readTiming(context, body, defaults, 1, 1_000_000),
	};
}

/** `fallbackDelayMicros` null is "as delay_loop" (DNS_CHECK). */
function readTiming(
	context: BuildContext,
	body: readonly Statement[],
	defaults: CheckDefaults,
	fallbackRetry: number,
	fallbackDelayMicros: number | null,
): CheckTiming {
	let delayLoop = defaults.delayLoopMicros ?? DELAY_LOOP_MICROS;
	let retry = defaults.retry ?? fallbackRetry;
	let delayBeforeRetry = defaults.delayBeforeRetryMicros;
	let warmup = defaults.warmupMicros;
	let alpha = defaults.alpha;
	let logAllFailures = context.globals.logAllFailures;
	for (let index = 0; index < body.length; index++) {
		const statement = body[index]!;
		switch (statement.keyword.name) {
			case "retry":
			case "nb_get_retry":
				retry = statement.number;
				break;
			case "delay_before_retry":
				delayBeforeRetry = statement.number;
				break;
			case "delay_loop":
				delayLoop = statement.number;
				break;
			case "warmup":
				warmup = statement.number;
				break;
			case "alpha":
				alpha = statement.number !== 0;
				break;
			case "log_all_failures":
				logAllFailures = statement.number !== 0;
				break;
		}
	}
	return context.sharedTiming({
		delayLoopMs: delayLoop / 1000,
		retry,
		delayBeforeRetryMs: (delayBeforeRetry ?? fallbackDelayMicros ?? delayLoop) / 1000,
		warmupMs: (warmup ?? delayLoop) / 1000,
		alpha,
		logAllFailures,
	});
}

function readTarget(
	context: BuildContext,
	body: readonly Statement[],
	owner: CheckOwner,
	defaults: CheckDefaults,
): CheckTarget {
	let { address, family, port } = owner;
	let bindAddress: string | null = null;
	let bindPort: number | null = null;
	let bindInterface: string | null = null;
	let connectTimeout = defaults.connectTimeoutMicros ?? CONNECT_TIMEOUT_MICROS;
	let fwmark = 0;
	let bind: Statement | null = null;
	for (let index = 0; index < body.length; index++) {
		const statement = body[index]!;
		switch (statement.keyword.name) {
			case "connect_port":
				port = statement.number;
				break;
			case "connect_timeout":
				connectTimeout = statement.number;
				break;
			case "connect_ip": {
				const read = readAddress(statement.words[0]!)!;
				address = read.address;
				family = read.family;
				break;
			}
			case "bindto":
				bind = statement;
				break;
			case "bind_port":
				bindPort = statement.number;
				break;
			case "bind_if":
				bindInterface = statement.words[0]!;
				context.checkInterface(bindInterface, statement, `${titleOf(owner)}: check`);
				break;
			case "fwmark":
				fwmark = statement.number;
				break;
		}
	}
	if (bind !== null) {
		const read = readAddress(bind.words[0]!)!;
		if (read.family === family) bindAddress = read.address;
		else
			context.error(
				bind,
				"family",
				`${titleOf(owner)}: bindto ${read.address} and ${address} are of different families`,
				"bindto",
			);
	}
	return {
		address,
		family,
		port,
		bindAddress,
		bindPort,
		bindInterface,
		connectTimeoutMs: connectTimeout / 1000,
		fwmark,
	};
}

function buildSmtp(
	context: BuildContext,
	statement: Statement,
	owner: CheckOwner,
	defaults: CheckDefaults,
): CheckConfig[] {
	const settings = new Settings(statement.body!);
	const heloName = settings.word("helo_name") ?? "smtpchecker.keepalived.org";
	const make = (body: readonly Statement[]): CheckConfig => ({
		kind: "SMTP_CHECK",
		target: readTarget(context, body, owner, defaults),
		heloName,
		timing: readTiming(context, body, defaults, 1, 1_000_000),
	});
	const general = settings.body.filter((inner) => inner.body === null);
	const hosts = settings.all("host");
	if (hosts.length === 0) return [make(general)];
	return hosts.map((host) => make([...general, ...host.body!]));
}

function buildHttp(
	context: BuildContext,
	kind: "HTTP_GET" | "SSL_GET",
	statement: Statement,
	owner: CheckOwner,
	defaults: CheckDefaults,
): CheckConfig | null {
	const settings = new Settings(statement.body!);
	const virtualHost = settings.word("virtualhost") ?? defaults.virtualHost;
	const checkCompliant = settings.boolean("tls_compliant") ?? false;
	const urls: UrlCheck[] = [];
	for (const url of settings.all("url")) {
		const read = readUrl(context, url, kind, virtualHost, checkCompliant);
		if (read !== null) urls.push(read);
	}
	if (urls.length === 0) {
		context.error(
			statement,
			"incomplete",
			`${titleOf(owner)}: ${kind} has no url`,
			"the check: the server counts as alive",
			{
				suggestion: 'write "url { path / }"',
			},
		);
		return null;
	}
	const sniName = settings.last("sni_name");
	const sni = (settings.boolean("enable_sni") ?? false) || sniName !== null;
	const protocol = settings.word("http_protocol") ?? "1.0";
	return {
		kind,
		target: readTarget(context, settings.body, owner, defaults),
		urls,
		httpProtocol: protocol === "1.1" ? "1.1" : protocol === "1.0" ? "1.0" : "1.0C",
		serverName: sni ? (sniName?.words[0] ?? virtualHost) : null,
		fastRecovery: settings.boolean("fast_recovery") ?? false,
		timing: readTiming(context, settings.body, defaults, 1, 3_000_000),
	};
}

function readUrl(
	context: BuildContext,
	url: Statement,
	kind: string,
	virtualHost: string | null,
	checkCompliant: boolean,
): UrlCheck | null {
	const settings = new Settings(url.body!);
	const path = settings.word("path");
	if (path === null) {
		context.error(url, "incomplete", `${kind}: the url has no path`, "the url");
		return null;
	}
	if (!/^(\/|https?:\/\/|\*$)/.test(path))
		context.warn(settings.last("path")!, "odd-path", `${kind}: path "${path}" does not begin with a slash`, {
			lost: "most likely the check: web servers answer 400",
			exitStatus: 0,
			suggestion: `write "path /${path}"`,
		});
	const digestStatement = settings.last("digest");
	let digest = digestStatement?.words[0]?.toLowerCase() ?? null;
	if (digest !== null && !/^[0-9a-f]{32}$/.test(digest)) {
		context.error(
			digestStatement!,
			"bad-argument",
			`digest: "${digestStatement!.words[0]}" is no MD5: 32 hexadecimal digits`,
			"digest: any page is accepted",
		);
		digest = null;
	}
	const statusCodes: { from: number; to: number }[] = [];
	const codes = settings.last("status_code");
	for (const word of codes?.words ?? []) {
		const match = /^(\d{3})(?:-(\d{3}))?$/.exec(word);
		const from = Number(match?.[1]);
		const to = Number(match?.[2] ?? match?.[1]);
		if (match === null || from < 100 || to > 599 || from > to)
			context.error(
				codes!,
				"bad-argument",
				`status_code: "${word}" is not N or N-M from 100 to 599`,
				`"${word}"`,
			);
		else statusCodes.push({ from, to });
	}
	if (statusCodes.length === 0) statusCodes.push({ from: 200, to: 299 });
	const regex = settings.last("regex");
	let minOffset = settings.number("regex_min_offset") ?? 0;
	let maxOffset = settings.number("regex_max_offset");
	if (regex !== null && maxOffset !== null && minOffset > maxOffset) {
		context.warn(
			settings.last("regex_min_offset")!,
			"out-of-range",
			`${kind}: regex_min_offset ${minOffset} is more than regex_max_offset ${maxOffset}`,
			{ lost: "both: the pattern may stand anywhere", exitStatus: 0 },
		);
		minOffset = 0;
		maxOffset = null;
	}
	if (regex === null)
		for (const name of ["regex_no_match", "regex_options", "regex_min_offset", "regex_max_offset"] as const) {
			const option = settings.last(name);
			if (option !== null) context.error(option, "incomplete", `${name} without regex`, name);
		}
	return {
		path,
		digest,
		statusCodes,
		virtualHost: settings.word("virtualhost") ?? virtualHost,
		regex:
			regex === null
				? null
				: {
						pattern: decodeEscapes(regex.words[0] ?? ""),
						options: settings.all("regex_options").flatMap((options) => options.words),
						noMatch: settings.has("regex_no_match"),
						minOffset,
						maxOffset,
					},
		tlsCompliant: settings.boolean("tls_compliant") ?? checkCompliant,
	};
}

function buildUdp(
	context: BuildContext,
	statement: Statement,
	owner: CheckOwner,
	defaults: CheckDefaults,
): CheckConfig | null {
	const settings = new Settings(statement.body!);
	const hexadecimal = (name: string, digits: RegExp): string | null => {
		const found = settings.last(name);
		if (found === null || found.words.length === 0) return null;
		// As keepalived reads it: blanks part bytes, and the last digit of an odd number is a byte of its own.
		const runs = found.words.flatMap((word) => word.split(/[ \t]+/)).filter((run) => run !== "");
		if (runs.length > 0 && runs.every((run) => digits.test(run)))
			return runs
				.map((run) => (run.length % 2 === 0 ? run : `${run.slice(0, -1)}0${run.slice(-1)}`))
				.join("")
				.toLowerCase()
				.replaceAll("x", "X");
		context.error(
			found,
			"bad-argument",
			`${name}: "${found.words.join(" ")}" is not hexadecimal digits`,
			name,
		);
		return null;
	};
	const shortest = settings.last("min_reply_length");
	if (shortest !== null && shortest.number > (settings.number("max_reply_length") ?? 255))
		context.error(
			shortest,
			"out-of-range",
			`${titleOf(owner)}: min_reply_length ${shortest.number} is more than max_reply_length: the check always fails`,
		);
	return {
		kind: "UDP_CHECK",
		target: readTarget(context, settings.body, owner, defaults),
		payloadHex: hexadecimal("payload", /^[0-9a-fA-F]+$/),
		requireReply: settings.has("require_reply"),
		replyPattern: hexadecimal("require_reply", /^[0-9a-fA-FxX]+$/),
		minReplyLengthBytes: settings.number("min_reply_length") ?? 0,
		maxReplyLengthBytes: settings.number("max_reply_length") ?? 255,
		timing: readTiming(context, settings.body, defaults, 1, 1_000_000),
	};
}

function buildMisc(
	context: BuildContext,
	statement: Statement,
	owner: CheckOwner,
	defaults: CheckDefaults,
): CheckConfig | null {
	const settings = new Settings(statement.body!);
	const path = settings.last("misc_path");
	if (path === null || path.words.length === 0) {
		context.error(
			statement,
			"incomplete",
			`${titleOf(owner)}: MISC_CHECK has no misc_path`,
			"the check: the server counts as alive",
		);
		return null;
	}
	const user = settings.last("user");
	const script = context.script(path, path.words, user?.words[0] ?? null, user?.words[1] ?? null);
	if (script === null) return null;
	const timeout = settings.number("misc_timeout");
	return {
		kind: "MISC_CHECK",
		script,
		timeoutMs: (timeout === null || timeout === 0 ? owner.serverDelayLoopMicros : timeout) / 1000,
		dynamicWeight: settings.has("misc_dynamic"),
		timing: readTiming(context, settings.body, defaults, 0, 1_000_000),
	};
}

function buildFileCheck(
	context: BuildContext,
	statement: Statement,
	owner: CheckOwner,
	defaults: CheckDefaults,
): CheckConfig | null {
	const settings = new Settings(statement.body!);
	const name = settings.word("track_file");
	const file = name === null ? undefined : owner.trackFiles.get(name);
	if (name === null || file === undefined) {
		context.error(
			settings.last("track_file") ?? statement,
			"unknown-name",
			name === null
				? `${titleOf(owner)}: FILE_CHECK has no track_file`
				: `${titleOf(owner)}: there is no track_file ${name}`,
			"the check",
		);
		return null;
	}
	const weight = settings.last("weight");
	return {
		kind: "FILE_CHECK",
		trackFile: name,
		weight: weight?.number ?? file.weight,
		reverse: weight === null ? file.reverse : weight.words.includes("reverse"),
		timing: readTiming(context, settings.body, defaults, 0, 0),
	};
}

/** A whole number within a word, for callers that read ports. */
export function readPort(text: string | undefined): number | null {
	if (text === undefined) return 0;
	const port = parseWhole(text);
	return port >= 0 && port <= 65_535 ? port : null;
}
