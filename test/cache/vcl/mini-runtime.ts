/** A runtime just large enough to run compiled subs: messages as header lists, no network, no store. */

import { toByteString } from "../../../firmware/cache/vcl/byte-string.ts";
import { type CompileOptions, compileVcl } from "../../../firmware/cache/vcl/compile.ts";
import { formatFailure } from "../../../firmware/cache/vcl/diagnostic.ts";
import type {
	Action,
	BackendDefinition,
	Director,
	IpAddress,
	LoadedVcl,
	LogTag,
	MethodName,
	Subs,
	VclContext,
	VclHost,
	WaitRequest,
} from "../../../firmware/cache/vcl/runtime.ts";
import { syntaxKey } from "../../../firmware/cache/vcl/vmods/std.ts";
import { parseAddress } from "../../../firmware/wire/ip.ts";

export class Message {
	fields: { name: string; lower: string; value: string }[] = [];
	method = "GET";
	url = "/";
	proto = "HTTP/1.1";
	status = 200;
	reason = "OK";
	body = "";
	[member: string]: unknown;

	constructor(
		headers: Readonly<Record<string, string>> = {},
		members: Readonly<Record<string, unknown>> = {},
	) {
		for (const [name, value] of Object.entries(headers))
			this.fields.push({ name, lower: name.toLowerCase(), value });
		Object.assign(this, members);
	}

	header(lower: string): string | null {
		return this.fields.find((field) => field.lower === lower)?.value ?? null;
	}

	setHeader(lower: string, name: string, value: string): void {
		this.unsetHeader(lower);
		this.fields.push({ name, lower, value });
	}

	setLine(lower: string, line: string): void {
		const { length } = lower;
		this.setHeader(lower, line.slice(0, length), line.slice(length + 2));
	}

	appendHeader(lower: string, name: string, value: string): void {
		this.fields.push({ name, lower, value });
	}

	unsetHeader(lower: string): void {
		this.fields = this.fields.filter((field) => field.lower !== lower);
	}

	collectHeader(lower: string, separator: string): void {
		const values = this.fields.filter((field) => field.lower === lower);
		if (values.length < 2) return;
		const first = values[0]!;
		const value = values.map((field) => field.value).join(separator);
		this.fields = this.fields
			.filter((field) => field.lower !== lower || field === first)
			.map((field) => (field === first ? { ...first, value } : field));
	}

	headerList() {
		return this.fields.map(({ name, value }) => ({ name, value }));
	}

	setStatus(status: number): void {
		this.status = status;
		this.reason = `Reason ${status}`;
	}

	setBody(text: string): void {
		this.body = text;
	}

	addBody(text: string): void {
		this.body += text;
	}

	unsetBody(): void {
		this.body = "";
		this.unsetHeader("content-length");
	}
}

export function ip(text: string, port = 80): IpAddress {
	return { text, port, bytes: parseAddress(text)! };
}

export class FakeBackend implements Director {
	readonly name: string;
	readonly definition: BackendDefinition;
	up = true;
	changedAt = 0;

	constructor(definition: BackendDefinition) {
		this.name = definition.name;
		this.definition = definition;
	}

	resolve(): Director {
		return this;
	}

	healthy(): boolean {
		return this.up;
	}
}

export interface World {
	readonly vcl: LoadedVcl;
	readonly code: string;
	readonly backends: Map<string, FakeBackend>;
	readonly logs: [LogTag, string][];
	/** What the host's random() gives next, in turn; 0.5 when empty. */
	readonly dice: number[];
	/** Runs one sub on a fresh context, or on `context`. */
	run(sub: keyof Subs, context?: VclContext): { action: Action; context: VclContext };
	/** What one sub of a program that waits waits for, in order, and how it ends. */
	waits(sub: keyof Subs): readonly (WaitRequest | Action)[];
}

export interface Request {
	readonly headers?: Readonly<Record<string, string>>;
	readonly method?: string;
	readonly url?: string;
	readonly clientIp?: string;
	readonly members?: Readonly<Record<string, unknown>>;
}

/** 2024-01-02 03:04:05.678 UTC */
export const fixedNow = 1_704_164_645.678;

export function context(request: Request, logs: [LogTag, string][]): VclContext {
	const members = {
		method: request.method ?? "GET",
		url: request.url ?? "/",
		esiLevel: 0,
		ttl: -1,
		grace: -1,
		restarts: 0,
		time: fixedNow,
		xid: "1001",
		transport: "HTTP/1",
		canGzip: false,
		hash: "\x00".repeat(32),
		backendHint: undefined,
		...request.members,
	};
	const req = new Message(request.headers, members);
	const hashed: string[] = [];
	const bans: string[] = [];
	return {
		req,
		reqTop: req,
		bereq: new Message(request.headers, { ...members, xid: "1002", retries: 0, uncacheable: false }),
		beresp: new Message({}, { ttl: 120, grace: 10, keep: 0, age: 0, time: fixedNow, uncacheable: false }),
		resp: new Message({}, { time: fixedNow }),
		obj: new Message({}, { hits: 3, ttl: 10, grace: 10, keep: 0, age: 5, time: fixedNow }),
		connection: {
			identity: request.clientIp ?? "192.0.2.1",
			clientIp: ip(request.clientIp ?? "192.0.2.1", 12345),
			serverIp: ip("192.0.2.100", 80),
			remoteIp: ip(request.clientIp ?? "192.0.2.1", 12345),
			localIp: ip("192.0.2.100", 80),
			endpoint: "192.0.2.100:80",
			socket: "a0",
			proxy: null,
			credentials: null,
		},
		session: {
			idleSendTimeout: 60,
			sendTimeout: 600,
			timeoutIdle: 5,
			timeoutLinger: 0.05,
			xid: "1000",
			setIpTos: () => undefined,
		},
		now: fixedNow,
		method: "vcl_recv" as MethodName,
		taskState: new Map<object, unknown>([[syntaxKey, 41]]),
		log: (tag: LogTag, text: string) => logs.push([tag, text]),
		hashData: (text: string) => hashed.push(text),
		hashUrl: () => hashed.push(String((req as unknown as { url: string }).url)),
		ban: (expression: string) => {
			bans.push(expression);
			return expression.includes("bad") ? "Unknown or unsupported field" : null;
		},
		timestamp: (label: string) => logs.push(["Timestamp", label]),
		rollback: () => undefined,
		cacheRequestBody: (size: number, done: (fits: boolean) => void) => done(size >= 10),
		late100Continue: () => undefined,
		purge: (ttl: number, grace: number, keep: number) => {
			logs.push(["Debug", `purge ${ttl} ${grace} ${keep}`]);
			return 2;
		},
		hashed,
		bans,
	} as unknown as VclContext;
}

export function load(source: string, request: Request = {}, options: CompileOptions = {}): World {
	const result = compileVcl(source, { name: "test.vcl", ...options });
	if (!result.ok) throw new Error(formatFailure(result.error));
	const backends = new Map<string, FakeBackend>();
	const logs: [LogTag, string][] = [];
	const dice: number[] = [];
	const host: VclHost = {
		backend(definition) {
			const backend = new FakeBackend(definition);
			backends.set(definition.name, backend);
			return backend;
		},
		stevedore: (name) => ({ name, freeSpaceBytes: 4096, usedSpaceBytes: 0, happy: true }),
		identity: "box",
		hostname: "box.example.org",
		readFile: (path) => (path === "/motd" ? "hello\n" : null),
		fileExists: (path) => path === "/motd",
		getenv: (name) => (name === "HOME" ? "/root" : null),
		syslog: (_priority, text) => logs.push(["Notice", text]),
		resolveName: () => null,
		random: () => dice.shift() ?? 0.5,
		clock: () => fixedNow,
		log: (tag, text) => logs.push([tag, text]),
	};
	const vcl = result.vcl.link(host);
	const started = vcl.init();
	if (!started.ok) throw new Error(started.message);
	return {
		vcl,
		code: result.vcl.code,
		backends,
		logs,
		dice,
		run(sub, given) {
			const task = given ?? context(request, logs);
			if (task.req.backendHint === undefined) task.req.backendHint = vcl.defaultBackend;
			(task as { method: MethodName }).method = sub;
			return { action: vcl.subs[sub](task), context: task };
		},
		waits(sub) {
			const steps = vcl.waitingSubs![sub](context(request, logs));
			const all: (WaitRequest | Action)[] = [];
			for (;;) {
				const step = steps.next();
				all.push(step.value);
				if (step.done) return all;
			}
		},
	};
}

export const head = 'vcl 4.1;\nimport std;\nbackend default { .host = "127.0.0.1"; }\n';

/** The text that an expression gives in vcl_recv. */
export function evaluate(expression: string, request: Request = {}, before = ""): string {
	const world = load(
		`${head}${before}\nsub vcl_recv { set req.http.result = "[" + ${expression} + "]"; return (pass); }`,
		request,
	);
	return String(world.run("vcl_recv").context.req.header("result")).slice(1, -1);
}

export { toByteString };
