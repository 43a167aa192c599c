/** Backend probes: a request now and then, and what the last ones say about the health. */
import { connect, isIP, type Socket } from "node:net";
import { checkServerIdentity, connect as connectTls } from "node:tls";
import { isDeepStrictEqual } from "node:util";
import { formatProxyHeader } from "../http/proxy.ts";
import type { BackendDefinition, BackendTls, ProbeDefinition } from "../vcl/runtime.ts";
import { Address } from "../worker/address.ts";
import { readAuthorities, tlsName } from "../worker/backend-tls.ts";

export interface ProbeReport {
	readonly vcl: string;
	readonly backend: string;
	readonly healthy: boolean;
	readonly changed: boolean;
	readonly good: number;
	readonly window: number;
	readonly threshold: number;
	readonly seconds: number;
	readonly average: number;
	/** Letters of the last probe: 4 6 U x X r R H or "-". */
	readonly bits: string;
	readonly line: string;
}

const MASK_BITS = 64;
/** Bytes of an answer that are looked at. */
const ANSWER_BYTES = 128;
const rows = ["4", "6", "U", "x", "X", "r", "R", "H"] as const;
const legends: Readonly<Record<(typeof rows)[number], string>> = {
	"4": "Good IPv4",
	"6": "Good IPv6",
	U: "Good UNIX",
	x: "Error Xmit",
	X: "Good Xmit",
	r: "Error Recv",
	R: "Good Recv",
	H: "Happy",
};

export class Probe {
	readonly vcl: string;
	readonly backend: BackendDefinition;
	readonly #probe: ProbeDefinition;
	readonly #report: (report: ProbeReport) => void;
	readonly #history: Record<(typeof rows)[number], bigint> = {
		"4": 0n,
		"6": 0n,
		U: 0n,
		x: 0n,
		X: 0n,
		r: 0n,
		R: 0n,
		H: 0n,
	};
	#timer: ReturnType<typeof setTimeout> | undefined;
	#socket: Socket | undefined;
	#stopped = false;
	healthy: boolean;
	good = 0;
	average = 0;
	changedAt: number;
	readonly #heard = Promise.withResolvers<void>();
	/** Done when there was an answer here or before, or none in time; also when the probe is stopped. */
	readonly heard = this.#heard.promise;

	/** `before`: one that asks the same for another VCL; what it knows is known here. */
	constructor(
		vcl: string,
		backend: BackendDefinition,
		now: number,
		before: Probe | null,
		report: (report: ProbeReport) => void,
	) {
		this.vcl = vcl;
		this.backend = backend;
		this.#probe = backend.probe!;
		this.#report = report;
		this.changedAt = before?.changedAt ?? now;
		if (before !== null) {
			Object.assign(this.#history, before.#history);
			this.average = before.average;
			void before.heard.then(this.#heard.resolve);
		} else
			for (let index = 0; index < Math.min(this.#probe.initial, this.#probe.threshold); index++)
				this.#shift(true);
		this.#count();
		this.healthy = this.good >= this.#probe.threshold;
		this.#timer = setTimeout(() => {
			if (before === null) this.#begin();
			this.#run();
		}, 10);
	}

	/** Before it has asked anything: as with varnishd, a backend is healthy until its probe, and what begins it, say otherwise. */
	#begin(): void {
		this.#tell(0, "", !this.healthy);
		this.#tell(0, "", false);
	}

	/** The same question to the same place, counted alike. */
	asksFor(backend: BackendDefinition): boolean {
		const question = ({ endpoint, hostHeader, tls, preamble, proxyHeader, probe }: BackendDefinition) => ({
			...{ endpoint, hostHeader, tls, preamble, proxyHeader },
			probe: { ...probe, name: null },
		});
		return isDeepStrictEqual(question(this.backend), question(backend));
	}

	get window(): number {
		return this.#probe.window;
	}
	get threshold(): number {
		return this.#probe.threshold;
	}
	/** The last 64 verdicts, newest in the lowest bit (VBE.*.happy). */
	get happy(): bigint {
		return this.#history.H;
	}

	#shift(happy: boolean): void {
		for (const row of rows)
			this.#history[row] = (this.#history[row] << 1n) & ((1n << BigInt(MASK_BITS)) - 1n);
		if (happy) this.#history.H |= 1n;
	}

	#count(): void {
		const mask = (1n << BigInt(this.#probe.window)) - 1n;
		this.good = (this.#history.H & mask).toString(2).replaceAll("0", "").length;
	}

	#request(): string {
		const { request, url } = this.#probe;
		return (
			request ?? `GET ${url ?? "/"} HTTP/1.1\r\nHost: ${this.backend.hostHeader}\r\nConnection: close\r\n\r\n`
		);
	}

	#run(): void {
		const { endpoint } = this.backend;
		if (endpoint.kind === "none" || this.#stopped) return;
		const started = performance.now();
		for (const row of rows)
			this.#history[row] = (this.#history[row] << 1n) & ((1n << BigInt(MASK_BITS)) - 1n);
		const socket =
			endpoint.kind === "unix"
				? connect(endpoint.path)
				: connect(Number(endpoint.port), endpoint.addresses[0] ?? endpoint.host);
		this.#socket = socket;
		let text = "";
		let settled = false;
		const set = (row: (typeof rows)[number]) => {
			this.#history[row] |= 1n;
		};
		const finish = (timedOut: boolean) => {
			if (settled || this.#stopped) return;
			settled = true;
			clearTimeout(deadline);
			socket.destroy();
			const seconds = (performance.now() - started) / 1000;
			const line = text.split("\r\n", 1)[0] ?? "";
			const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(line)?.[1] ?? 0);
			if (text !== "") set("R");
			const good = !timedOut && status === this.#probe.expectedStatus;
			if (good) {
				set("H");
				this.average += (seconds - this.average) / (this.average === 0 ? 1 : 4);
			}
			this.#count();
			this.#judge(seconds, line);
			this.#heard.resolve();
			this.#timer = setTimeout(() => this.#run(), this.#probe.intervalSeconds * 1000);
		};
		const deadline = setTimeout(() => finish(true), this.#probe.timeoutSeconds * 1000);
		const talk = (over: Socket) => {
			over.on("data", (bytes: Buffer) => {
				if (text.length < ANSWER_BYTES) text += bytes.toString("latin1");
			});
			over.on("end", () => finish(false));
			over.on("close", () => finish(false));
			over.on("error", () => finish(false));
		};
		const ask = (over: Socket) => {
			over.write(this.#request(), "latin1");
			set("X");
		};
		socket.on("connect", () => {
			set(endpoint.kind === "unix" ? "U" : socket.remoteFamily === "IPv6" ? "6" : "4");
			this.#greet(socket);
			const { tls } = this.backend;
			if (tls === null) {
				ask(socket);
				return;
			}
			const encrypted = this.#encrypt(socket, tls);
			talk(encrypted);
			encrypted.on("secureConnect", () => ask(encrypted));
		});
		if (this.backend.tls === null) talk(socket);
		else {
			socket.on("close", () => finish(false));
			socket.on("error", () => finish(false));
		}
	}

	/** Preamble and PROXY header: a probe speaks for itself, not for a client. */
	#greet(socket: Socket): void {
		const { preamble, proxyHeader } = this.backend;
		if (preamble !== null) socket.write(preamble, "latin1");
		if (proxyHeader === 0) return;
		const own =
			proxyHeader === 1 && socket.localAddress !== undefined
				? new Address(socket.localAddress, socket.localPort ?? 0)
				: undefined;
		socket.write(formatProxyHeader(proxyHeader, own, own));
	}

	#encrypt(socket: Socket, tls: BackendTls): Socket {
		const name = tlsName(this.backend);
		const authorities = readAuthorities(tls);
		if (authorities.kind === "unreadable") socket.destroy();
		return connectTls({
			socket,
			rejectUnauthorized: tls.verifyPeer,
			ALPNProtocols: ["http/1.1"],
			...(tls.sni && isIP(name) === 0 ? { servername: name } : {}),
			...(authorities.kind === "own" ? { ca: authorities.pem } : {}),
			checkServerIdentity: (_host, certificate) =>
				tls.verifyHost ? checkServerIdentity(name, certificate) : undefined,
		});
	}

	#judge(seconds: number, line: string): void {
		const before = this.healthy;
		this.healthy = this.good >= this.#probe.threshold;
		if (before !== this.healthy) this.changedAt = Date.now() / 1000;
		this.#tell(seconds, line, before !== this.healthy);
	}

	#tell(seconds: number, line: string, changed: boolean): void {
		this.#report({
			vcl: this.vcl,
			backend: this.backend.name,
			healthy: this.healthy,
			changed,
			good: this.good,
			window: this.#probe.window,
			threshold: this.#probe.threshold,
			seconds,
			average: this.average,
			bits: rows.map((row) => ((this.#history[row] & 1n) === 1n ? row : "-")).join(""),
			line,
		});
	}

	/** The block that backend.list -p shows. */
	details(): readonly string[] {
		const { threshold, window } = this.#probe;
		const two = (value: number) => String(value).padStart(2);
		const lines = [
			` Current states  good: ${two(this.good)} threshold: ${two(threshold)} window: ${two(window)}`,
			`  Average response time of good probes: ${this.average.toFixed(6)}`,
			"  Oldest ================================================== Newest",
		];
		for (const row of rows) {
			const bits = this.#history[row];
			if (bits === 0n && row !== "H") continue;
			let line = "";
			for (let bit = MASK_BITS - 1; bit >= 0; bit--) line += ((bits >> BigInt(bit)) & 1n) === 1n ? row : "-";
			lines.push(`  ${line} ${legends[row]}`);
		}
		return [...lines, ""];
	}

	/** What `backend.list -j -p` says: each row of the history as a number, and the window. */
	figures(): Readonly<Record<string, number>> {
		return {
			...Object.fromEntries(rows.map((row) => [`bits_${row}`, Number(this.#history[row])])),
			good: this.good,
			threshold: this.threshold,
			window: this.window,
		};
	}

	stop(): void {
		this.#stopped = true;
		this.#heard.resolve();
		clearTimeout(this.#timer);
		this.#socket?.destroy();
	}
}
