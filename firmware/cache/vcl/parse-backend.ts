/** `backend NAME { … }` and `probe NAME { … }`. Reference §7.1 and §7.2. */
import { isPort, resolveHost, splitHostAndPort, tooMany } from "./address.ts";
import type { Compilation } from "./compilation.ts";
import { Refused } from "./diagnostic.ts";
import { duration } from "./parse-expression.ts";
import type { BackendDefinition, BackendTls, ProbeDefinition } from "./runtime.ts";
import { type Token, tokenName } from "./token.ts";

/** A probe remembers its last 64 polls, one bit each. */
const maxWindow = 64;

const probeFields: ReadonlySet<string> = new Set([
	"url",
	"request",
	"expected_response",
	"timeout",
	"interval",
	"window",
	"threshold",
	"initial",
]);

const backendFields: ReadonlySet<string> = new Set([
	"host",
	"port",
	"path",
	"host_header",
	"connect_timeout",
	"first_byte_timeout",
	"between_bytes_timeout",
	"probe",
	"max_connections",
	"proxy_header",
	"preamble",
	"ssl",
	"ssl_sni",
	"ssl_verify_peer",
	"ssl_verify_host",
	"ssl_ca",
]);

/** A switch: `0` or `1`. */
function bit(c: Compilation, name: Token): boolean {
	const value = c.token;
	const number = unsigned(c);
	if (number > 1) return c.diagnostics.fail(`.${name.text} must be 0 or 1\n`, value);
	return number === 1;
}

/** `.name =`, known and not given before; leaves the cursor at the value. */
function field(c: Compilation, known: ReadonlySet<string>, seen: Map<string, Token>): Token {
	c.skip(".");
	const name = c.expect("ID");
	c.next();
	c.skip("=");
	if (!known.has(name.text)) c.diagnostics.fail(`Unknown field: ${tokenName(name)} at\n`, name);
	const before = seen.get(name.text);
	if (before !== undefined) {
		c.diagnostics.at(`Field '${name.text}' redefined at:\n`, name);
		c.diagnostics.append("\n");
		c.diagnostics.fail("First defined at:\n", before);
	}
	seen.set(name.text, name);
	return name;
}

function exclusive(c: Compilation, what: string, before: Token | null, name: Token): void {
	if (before === null) return;
	c.diagnostics.at(`${what} redefinition at:\n`, name);
	c.diagnostics.fail("Previous definition:\n", before);
}

function string(c: Compilation): Token {
	const token = c.expect("CSTR");
	c.next();
	return token;
}

function unsigned(c: Compilation): number {
	const token = c.skip("CNUM");
	return Number(token.text);
}

function probeSpecification(c: Compilation, name: string | null): ProbeDefinition {
	const seen = new Map<string, Token>();
	let exclusiveSeen: Token | null = null;
	let url: string | null = null;
	let request: string | null = null;
	let expectedStatus = 200;
	let timeoutSeconds = 2;
	let intervalSeconds = 5;
	let window: { value: number; token: Token } | null = null;
	let threshold: { value: number; token: Token } | null = null;
	let initial: number | null = null;
	c.skip("{");
	while (c.token.kind !== "}") {
		const name = field(c, probeFields, seen);
		const value = c.token;
		switch (name.text) {
			case "url":
				exclusive(c, "Probe request", exclusiveSeen, name);
				exclusiveSeen = name;
				url = string(c).value;
				break;
			case "request":
				exclusive(c, "Probe request", exclusiveSeen, name);
				exclusiveSeen = name;
				c.expect("CSTR");
				request = "";
				while (c.token.kind === "CSTR") request += `${string(c).value}\r\n`;
				request += "\r\n";
				break;
			case "timeout":
				timeoutSeconds = duration(c);
				break;
			case "interval":
				intervalSeconds = duration(c);
				break;
			case "window":
				window = { value: unsigned(c), token: value };
				break;
			case "threshold":
				threshold = { value: unsigned(c), token: value };
				break;
			case "initial":
				initial = unsigned(c);
				break;
			default:
				if (value.kind === "CNUM") expectedStatus = unsigned(c);
				else c.diagnostics.at(`Expected CNUM got ${tokenName(value)}\nat\n`, value);
				if (value.kind !== "CNUM" || expectedStatus < 100 || expectedStatus > 999)
					c.diagnostics.fail(
						"Must specify .expected_response with exactly three digits (100 <= x <= 999)\n",
						c.token,
					);
		}
		c.skip(";");
	}
	let windowSize = 8;
	let needed = 3;
	if (window !== null && threshold === null)
		c.diagnostics.fail("Must specify .threshold with .window\n", window.token);
	if (threshold !== null) {
		needed = threshold.value;
		if (window === null) {
			if (needed > maxWindow) c.diagnostics.fail("Threshold must be 64 or less.\n", threshold.token);
			windowSize = needed + 1;
		} else {
			windowSize = window.value;
			if (windowSize > maxWindow) c.diagnostics.fail("Window must be 64 or less.\n", window.token);
			if (needed > windowSize) {
				c.diagnostics.at("Threshold can not be greater than window.\n", threshold.token);
				c.diagnostics.fail("", window.token);
			}
		}
	}
	c.skip("}");
	return {
		name,
		url: request === null ? (url ?? "/") : null,
		request,
		expectedStatus,
		timeoutSeconds,
		intervalSeconds,
		window: windowSize,
		threshold: needed,
		initial: Math.min(initial ?? needed - 1, needed),
	};
}

export function parseProbe(c: Compilation): void {
	c.next();
	c.expectName("backend probe");
	if (c.isWord("default")) {
		c.next();
		c.defaultProbe = probeSpecification(c, "default");
		c.probes.push(c.defaultProbe);
		return;
	}
	const symbol = c.declare("probe", (name) => ({ ...c.base(name), kind: "probe" }));
	c.next();
	c.probes.push(probeSpecification(c, symbol.name));
}

export function parseBackend(c: Compilation): void {
	const first = c.token;
	c.next();
	const nameToken = c.expectName("backend");
	let name = nameToken.text;
	if (name === "default") {
		if (c.firstBackend !== null) {
			c.firstBackend.exempt = false;
			c.firstBackend = null;
			c.defaultBackend = null;
		}
		if (c.defaultBackend !== null) c.diagnostics.fail("Only one default director possible.\n", first);
		c.defaultBackend = name;
	} else {
		const symbol = c.declare("backend", (called) => ({ ...c.base(called), kind: "backend" }));
		name = symbol.name;
		if (c.defaultBackend === null) {
			c.firstBackend = symbol;
			c.defaultBackend = name;
			symbol.exempt = true;
		}
	}
	c.next();
	try {
		c.backends.push(hostDefinition(c, name, nameToken));
	} catch (error) {
		if (error instanceof Refused) c.diagnostics.at(`\nIn ${first.text} specification starting at:\n`, first);
		throw error;
	}
}

function hostDefinition(c: Compilation, name: string, nameToken: Token): BackendDefinition {
	if (c.isWord("none") || c.isWord("None")) {
		c.next();
		c.skip(";");
		return backendDefinition(name, { kind: "none" }, "", {});
	}
	c.skip("{");
	if (c.isWord("set")) {
		c.diagnostics.fail(
			`NB: Backend Syntax has changed:\nRemove "set" and "backend" in front of backend fields.\n${tokenName(c.token)} at `,
			c.token,
		);
	}
	const seen = new Map<string, Token>();
	let address: Token | null = null;
	let host: Token | null = null;
	let port: Token | null = null;
	let path: Token | null = null;
	let hostHeader: string | null = null;
	let ssl = false;
	let sslDetail: Token | null = null;
	const tls: { -readonly [Name in keyof BackendTls]: BackendTls[Name] } = {
		sni: true,
		verifyPeer: true,
		verifyHost: false,
		authorities: null,
	};
	const rest: {
		-readonly [Name in keyof BackendDefinition]?: BackendDefinition[Name];
	} = {};
	while (c.token.kind !== "}") {
		const name = field(c, backendFields, seen);
		const value = c.token;
		let closed = false;
		switch (name.text) {
			case "host":
				exclusive(c, "Address", address, name);
				address = name;
				host = string(c);
				break;
			case "path":
				if (c.syntax < 41)
					c.diagnostics.fail(
						`Unix socket backends only supported in VCL4.1 and higher.\n${tokenName(value)} at `,
						value,
					);
				exclusive(c, "Address", address, name);
				address = name;
				path = string(c);
				break;
			case "port":
				port = string(c);
				break;
			case "host_header":
				hostHeader = string(c).value;
				break;
			case "connect_timeout":
				rest.connectTimeoutSeconds = duration(c);
				break;
			case "first_byte_timeout":
				rest.firstByteTimeoutSeconds = duration(c);
				break;
			case "between_bytes_timeout":
				rest.betweenBytesTimeoutSeconds = duration(c);
				break;
			case "max_connections":
				rest.maxConnections = unsigned(c);
				break;
			case "proxy_header": {
				const version = unsigned(c);
				if (version !== 1 && version !== 2)
					return c.diagnostics.fail(".proxy_header must be 1 or 2\n", value);
				rest.proxyHeader = version;
				break;
			}
			case "ssl":
				ssl = bit(c, name);
				break;
			case "ssl_sni":
				sslDetail = name;
				tls.sni = bit(c, name);
				break;
			case "ssl_verify_peer":
				sslDetail = name;
				tls.verifyPeer = bit(c, name);
				break;
			case "ssl_verify_host":
				sslDetail = name;
				tls.verifyHost = bit(c, name);
				break;
			case "ssl_ca":
				sslDetail = name;
				tls.authorities = authorityFile(c);
				break;
			case "preamble":
				c.expect("CBLOB");
				rest.preamble = value.value;
				c.next();
				break;
			default:
				if (value.kind === "{") {
					rest.probe = probeSpecification(c, null);
					closed = true;
					if (c.token.kind === ";") c.next();
				} else if (value.kind === "ID") rest.probe = namedProbe(c);
				else c.diagnostics.fail(`Expected '{' or name of probe, got ${tokenName(value)} at\n`, value);
		}
		if (!closed) c.skip(";");
	}
	if (host === null && path === null) c.diagnostics.fail("Expected .host or .path.\n", nameToken);
	// Half a setting would be a backend in plain text that looks as if it were not.
	if (sslDetail !== null && !seen.has("ssl"))
		c.diagnostics.fail(`.${sslDetail.text} has no meaning without .ssl = 1;\n`, sslDetail);
	if (ssl) rest.tls = tls;
	const endpoint = path !== null ? unixEndpoint(c, path) : tcpEndpoint(c, host!, port, ssl ? "443" : "80");
	c.skip("}");
	return backendDefinition(name, endpoint, hostHeader ?? (host === null ? "0.0.0.0" : host.value), rest);
}

/** A backend of which no more is said than `rest`. */
export function backendDefinition(
	name: string,
	endpoint: BackendDefinition["endpoint"],
	hostHeader: string,
	rest: { readonly [Name in keyof BackendDefinition]?: BackendDefinition[Name] },
): BackendDefinition {
	return {
		name,
		endpoint,
		hostHeader,
		connectTimeoutSeconds: null,
		firstByteTimeoutSeconds: null,
		betweenBytesTimeoutSeconds: null,
		maxConnections: 0,
		proxyHeader: 0,
		tls: null,
		preamble: null,
		probe: null,
		...rest,
	};
}

function namedProbe(c: Compilation): ProbeDefinition {
	if (c.isWord("default")) {
		c.next();
		if (c.defaultProbe === null)
			return c.diagnostics.fail(`No default probe defined\n${tokenName(c.token)} at\n`, c.token);
		return c.defaultProbe;
	}
	const first = c.token;
	const symbol = c.lookup("probe", "existing");
	symbol.referenced ??= first;
	return c.probes.find(({ name }) => name === symbol.name) ?? c.stop();
}

function authorityFile(c: Compilation): string {
	const token = string(c);
	if (!token.value.startsWith("/")) c.diagnostics.fail(".ssl_ca: Must be an absolute path:\n", token);
	const problem = c.settings.checkFile?.(token.value) ?? null;
	if (problem !== null) c.diagnostics.fail(`.ssl_ca: Cannot read: ${problem}\n`, token);
	return token.value;
}

function unixEndpoint(c: Compilation, path: Token): BackendDefinition["endpoint"] {
	if (!path.value.startsWith("/")) c.diagnostics.fail("Backend path: Must be an absolute path:\n", path);
	const problem = c.settings.checkSocket?.(path.value) ?? null;
	if (problem !== null) {
		if (problem.kind === "no-socket") c.diagnostics.fail("Backend path: Not a socket:\n", path);
		c.diagnostics.at(`Backend path: Cannot stat: ${problem.text}\n`, path);
		// A socket that is not there yet may come: only a warning.
		if (problem.kind === "other") c.stop();
		c.diagnostics.warned();
	}
	return { kind: "unix", path: path.value };
}

function tcpEndpoint(
	c: Compilation,
	hostToken: Token,
	portToken: Token | null,
	defaultPort: string,
): BackendDefinition["endpoint"] {
	const fail = (error: string) =>
		c.diagnostics.fail(
			`Backend host '${hostToken.text}' could not be resolved to an IP address:\n\t${error}\n(Sorry if that error message is gibberish.)\n`,
			hostToken,
		);
	const split = splitHostAndPort(
		portToken === null ? hostToken.value : `${hostToken.value} ${portToken.value}`,
	);
	if ("error" in split) return fail(split.error);
	const port = split.port ?? defaultPort;
	if (!isPort(port)) return fail("Servname not supported for ai_socktype");
	const resolution = resolveHost(c, split.host);
	if (!resolution.ok) {
		c.diagnostics.hint = `The name "${split.host}" must resolve when the VCL is loaded. Use the address, or make the name known (DNS, hosts).`;
		return fail(resolution.error);
	}
	const { addresses } = resolution;
	const sixes = addresses.filter((address) => address.includes(":")).length;
	if (addresses.length - sixes > 1 || sixes > 1)
		c.diagnostics.fail(tooMany("Backend host", hostToken, addresses, port, 2), hostToken);
	return { kind: "tcp", host: split.host, port, addresses };
}
