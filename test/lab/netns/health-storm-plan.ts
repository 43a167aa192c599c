/**
 * What a storm of health checks is made of, from a seed: a configuration as keepalived reads it, and for each phase
 * what stands on every port it asks.
 */
import { createHash } from "node:crypto";
import type { Random } from "../../sim/random.ts";
import type { Part, Role, Step } from "./health-liars.ts";

export const SERVER_ADDRESS = "10.8.0.2";
export const PHASE_MS = 9_000;

/** A check of a real server, and what the servers behind it do in each phase. */
export interface PlannedCheck {
	readonly kind: string;
	/** The block, as in the file. */
	readonly text: string;
	/** By phase: the name of what is done, for the report. */
	readonly behaviours: readonly string[];
	/** FILE_CHECK: the weight that holds, its own or its file's. */
	readonly weight?: string;
}

export interface PlannedServer {
	readonly port: number;
	readonly virtualServer: number;
	/** It counts as down until its checks have passed. */
	readonly alpha: boolean;
	readonly checks: readonly PlannedCheck[];
}

export interface Phase {
	readonly ports: Readonly<Record<number, Role>>;
	/** Contents of files that scripts and FILE_CHECK read, by name. */
	readonly files: Readonly<Record<string, string>>;
	/** Ports whose packets are dropped. */
	readonly dropped: readonly number[];
}

export interface Plan {
	/** With @FOLDER@ for a folder of the judge's own and @SHARED@ for that of all. */
	readonly config: string;
	readonly servers: readonly PlannedServer[];
	readonly virtualServers: number;
	readonly phases: readonly Phase[];
}

const page = "<html>status: ok, number 4711</html>\n";
const md5 = (bytes: string | Uint8Array) => createHash("md5").update(bytes).digest("hex");
const base64 = (text: string | Uint8Array) => Buffer.from(text as string, "latin1").toString("base64");
const say = (text: string): Step => ["write", base64(text)];
const end: Step = ["end"];
const answer = (text: string, ...more: Step[]): Part => [
	[],
	[say(text), ...(more.length === 0 ? [end] : more)],
];
const head = (status = "200 OK", length: number | null = page.length, version = "1.0") =>
	`HTTP/${version} ${status}\r\nServer: liar\r\n${length === null ? "" : `Content-Length: ${length}\r\n`}\r\n`;
const ok = head() + page;
const chunked = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${page.length.toString(16)}\r\n${page}\r\n0\r\n\r\n`;
const hold: Step = ["wait", 60_000];

/** Answers to GET. */
const pages: Readonly<Record<string, readonly Part[]>> = {
	"a good answer": [answer(ok)],
	"a good answer without length": [answer(head("200 OK", null) + page)],
	"a good answer of HTTP/1.1": [answer(head("200 OK", page.length, "1.1") + page)],
	"an answer that stays open": [answer(head("200 OK", page.length, "1.1") + page, hold)],
	"an answer before the question": [[[say(ok), end]]],
	"an answer, then a reset": [answer(ok, ["wait", 20], ["reset"])],
	"one byte every 15 ms": [[[], [["drip", base64(ok), 15], end]]],
	"one byte a second": [[[], [["drip", base64(ok), 1000], end]]],
	"head and body apart": [[[], [say(head()), ["wait", 200], say(page), end]]],
	"the head in two": [[[], [say(ok.slice(0, 21)), ["wait", 100], say(ok.slice(21)), end]]],
	"a blank line in two": [[[], [say(head().slice(0, -1)), ["wait", 100], say(`\n${page}`), end]]],
	"bare line feeds": [answer(ok.replaceAll("\r\n", "\n"))],
	"200 without a reason": [answer(ok.replace("200 OK", "200"))],
	"two blanks before the status": [answer(ok.replace(" 200", "  200"))],
	"HTTP/2 200": [answer(ok.replace("HTTP/1.0", "HTTP/2"))],
	"http/1.0 200": [answer(ok.replace("HTTP", "http"))],
	"ICY 200": [answer(ok.replace("HTTP/1.0", "ICY"))],
	"2000 OK": [answer(ok.replace("200", "2000"))],
	"status 20": [answer(ok.replace("200", "20"))],
	"a line feed in front": [answer(`\r\n${ok}`)],
	"HTTP/0.9": [answer(page)],
	"no blank line": [answer("HTTP/1.0 200 OK\r\nA: b\r\n")],
	"no head at all": [answer("HTTP/1.0 200 OK\r\n\r\n")],
	"half a head, closed": [answer("HTTP/1.0 200 OK\r\nA: ")],
	"half a head, open": [answer("HTTP/1.0 200 OK\r\nA: ", hold)],
	"half a head, reset": [answer("HTTP/1.0 200 OK\r\nA: ", ["wait", 20], ["reset"])],
	"a long head of 3 kB": [answer(ok.replace("liar", "x".repeat(3_000)))],
	"a long head of 6 kB": [answer(ok.replace("liar", "x".repeat(6_000)))],
	"fields without end": [
		[[], [say("HTTP/1.0 200 OK\r\n"), ["flood", base64(`X-Field: ${"y".repeat(80)}\r\n`), 2_000], end]],
	],
	"a length that is too long": [answer(head("200 OK", 500) + page)],
	"a length that is too short": [answer(head("200 OK", 10) + page)],
	"a length that is no number": [answer(head().replace(/\d+\r\n\r\n/, "many\r\n\r\n") + page)],
	chunked: [answer(chunked)],
	"chunked, without its end": [answer(chunked.slice(0, -5))],
	"chunked, without a size": [answer(chunked.replace(/\r\n\r\n[0-9a-f]+/, "\r\n\r\nzz"))],
	"100, then 200": [answer(`HTTP/1.1 100 Continue\r\n\r\n${ok}`)],
	"103, then 200": [answer(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${ok}`)],
	"204 without a body": [answer("HTTP/1.0 204 No Content\r\n\r\n")],
	"304 without a body": [answer("HTTP/1.0 304 Not Modified\r\n\r\n")],
	"a redirect": [answer("HTTP/1.0 302 Found\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n")],
	"404": [answer(head("404 Not Found") + page)],
	"503": [answer(head("503 Unavailable") + page)],
	"a body of NULs": [answer(`${head("200 OK", 64)}${"\0".repeat(64)}`)],
	"NULs before the words": [answer(`${head("200 OK", page.length + 3)}\0\0\0${page}`)],
	"NULs in the head": [answer(ok.replace("liar", "l\0ar"))],
	"only NULs": [answer("\0".repeat(200))],
	"a body of 300 kB": [
		[
			[],
			[
				say(head("200 OK", 300 * 1024 + page.length)),
				["flood", base64("z".repeat(1024)), 300],
				say(page),
				end,
			],
		],
	],
	gzip: [
		answer(
			`HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n${Buffer.from(Bun.gzipSync(Buffer.from(page))).toString("latin1")}`,
		),
	],
	"closed at once": [[[end]]],
	"reset at once": [[[["reset"]]]],
	"closed after the question": [[[], [end]]],
	"reset after the question": [[[], [["reset"]]]],
	mute: [[[]]],
	"good and 503 in turn": [answer(ok), answer(head("503 No") + page)],
	"one good of three": [answer(ok), [[], [end]], [[], [end]]],
	"two good of three": [answer(ok), answer(ok), [[], [["reset"]]]],
};

/** What stands where TLS is wanted, below it. */
const rawTls: Readonly<Record<string, Part>> = {
	"an alert": [[], [say("\x15\x03\x01\x00\x02\x02\x28"), end]],
	"plain text": [[say("220 no TLS here\r\n"), end]],
	"half a record": [[], [say("\x16\x03\x03\x40\x00\x02"), hold]],
};

const mail = (greeting: Step[], helo: Step[], quit: Step[]): Part => [greeting, helo, quit];
const hello = say("220 mail ESMTP\r\n");
const helped = say("250 mail\r\n");
const bye: Step[] = [say("221 bye\r\n"), end];
const mails: Readonly<Record<string, readonly Part[]>> = {
	"good mail": [mail([hello], [helped], bye)],
	"a greeting of two lines": [mail([say("220-hello\r\n220 mail\r\n")], [helped], bye)],
	"a HELO of two lines": [mail([hello], [say("250-mail\r\n250 SIZE 1\r\n")], bye)],
	"a slow greeting": [mail([["wait", 300], hello], [helped], bye)],
	"half a line, then the rest": [mail([say("220 ma"), ["wait", 150], say("il\r\n")], [helped], bye)],
	"half a line": [mail([say("220 mail"), hold], [helped], bye)],
	"greeted with 554": [mail([say("554 go\r\n")], [helped], bye)],
	"greeted with 22": [mail([say("22\r\n")], [helped], bye)],
	"greeted with 2200": [mail([say("2200 mail\r\n")], [helped], bye)],
	"greeted without text": [mail([say("220\r\n")], [helped], bye)],
	"bare line feeds": [mail([say("220 mail\n")], [say("250 mail\n")], [say("221 bye\n"), end])],
	"a HELO that is refused": [mail([hello], [say("550 no\r\n")], bye)],
	"a HELO without an answer": [mail([hello], [], bye)],
	"QUIT without an answer": [mail([hello], [helped], [end])],
	"QUIT that is refused": [mail([hello], [helped], [say("500 what\r\n"), end])],
	"QUIT that hangs": [mail([hello], [helped], [hold])],
	"a reset at QUIT": [mail([hello], [helped], [["reset"]])],
	"talks too early": [mail([say("220 mail\r\n250 mail\r\n221 bye\r\n")], [], [end])],
	"no words": [mail([say("hello there\r\n")], [helped], bye)],
	NULs: [mail([say("\0\0\0\0\r\n")], [helped], bye)],
	"a line of 3 kB": [mail([say(`220 ${"x".repeat(3_000)}\r\n`)], [helped], bye)],
	"closed at once": [[[end]]],
	"reset at once": [[[["reset"]]]],
	mute: [[[]]],
	"good and bad in turn": [mail([hello], [helped], bye), mail([say("421 busy\r\n"), end], [], [])],
};

const connects: Readonly<Record<string, readonly Part[]>> = {
	listens: [[[]]],
	"closed at once": [[[end]]],
	"reset at once": [[[["reset"]]]],
	talks: [[[say("hello\r\n")]]],
};

type Replies = Extract<Role, { kind: "datagram" }>["replies"];
const names: Readonly<Record<string, Replies>> = {
	"an answer": [{ dns: 0x8180 }],
	"no recursion": [{ dns: 0x8100 }],
	truncated: [{ dns: 0x8380 }],
	NXDOMAIN: [{ dns: 0x8183 }],
	SERVFAIL: [{ dns: 0x8182 }],
	"the question itself": [{ dns: 0x0100 }],
	"half a header": [base64("\x12\x34\x81")],
	"another's answer": [base64(`\x00\x01\x81\x80${"\0".repeat(8)}`)],
	silence: [null],
	"in turn": [{ dns: 0x8180 }, null],
};
const echoes: Readonly<Record<string, Replies>> = {
	"a right reply": [base64("\x01\x02\x03\x04")],
	"a wrong reply": [base64("\x09\x02\x03\x04")],
	"a short reply": [base64("\x01")],
	"an empty reply": [base64("")],
	"a long reply": [base64(`\x01\x02${"z".repeat(600)}`)],
	silence: [null],
	"in turn": [base64("\x01\x02\x03\x04"), null],
};

const scripts: Readonly<Record<string, string>> = {
	"exit 0": "exit 0",
	"exit 1": "exit 1",
	"exit 2": "exit 2",
	"exit 3": "exit 3",
	"exit 22": "exit 22",
	"exit 127": "exit 127",
	"exit 255": "exit 255",
	killed: "kill -9 $$",
	"killed politely": "kill -15 $$",
	hangs: "exec sleep 30",
	"hangs and does not listen": "trap '' TERM; sleep 30",
	"takes 300 ms": "sleep 0.3; exit 0",
	"leaves a child behind": "sleep 4 & exit 0",
	"talks without end": "head -c 300000 /dev/zero; exit 0",
};

/** What a file holds, by what is said of it. */
export const numbers: Readonly<Record<string, string>> = {
	"0": "0\n",
	"5": "5\n",
	"-3": "-3\n",
	"-200": "-200\n",
	"99999": "99999\n",
	nothing: "",
	words: "many\n",
	"a number and words": "7 dwarfs\n",
};

const seconds = (value: number) => String(Math.round(value * 100) / 100);

export function makePlan(random: Random, servers: number, phases: number, only: string | null): Plan {
	let nextPort = 20_000;
	const roles = Array.from({ length: phases }, () => ({}) as Record<number, Role>);
	const files = Array.from({ length: phases }, () => ({}) as Record<string, string>);
	const dropped = Array.from({ length: phases }, () => [] as number[]);
	const trackFiles: string[] = [];

	/** One behaviour a phase, the first and the third often good. */
	const eachPhase = (good: string, all: readonly string[], set: (phase: number, name: string) => void) =>
		Array.from({ length: phases }, (_, phase) => {
			const name = random.chance(phase % 2 === 0 ? 0.4 : 0.1) ? good : random.pick(all);
			set(phase, name);
			return name;
		});
	const stream = (
		good: string,
		table: Readonly<Record<string, readonly Part[]>>,
		delimiter: string,
		port: number,
		tls = false,
	) => {
		const all = [...Object.keys(table), "closed", "dropped", ...(tls ? Object.keys(rawTls) : [])];
		return eachPhase(good, all, (phase, name) => {
			if (name === "dropped") dropped[phase]!.push(port);
			const raw = tls ? rawTls[name] : undefined;
			roles[phase]![port] =
				name === "closed" || name === "dropped"
					? { kind: "closed" }
					: {
							kind: "stream",
							delimiter: raw === undefined ? delimiter : "\x03",
							tls: !tls || raw !== undefined ? "none" : random.chance(0.2) ? "expired" : "good",
							parts: raw === undefined ? table[name]! : [raw],
						};
		});
	};
	const datagrams = (good: string, table: Readonly<Record<string, Replies>>, port: number) =>
		eachPhase(good, [...Object.keys(table), "closed", "dropped"], (phase, name) => {
			if (name === "dropped") dropped[phase]!.push(port);
			roles[phase]![port] =
				name === "closed" || name === "dropped"
					? { kind: "closed" }
					: { kind: "datagram", replies: table[name]! };
		});

	const urlText = (): string => {
		const words = [`path /${random.pick(["", "a", "a?b=c", "very/long/path"])}${random.integer(0, 99)}`];
		if (random.chance(0.35))
			words.push(
				`digest ${random.pick([md5(page), md5(page), md5(chunked.split("\r\n\r\n").slice(1).join("\r\n\r\n")), md5(page.slice(0, 10)), md5("else")])}`,
			);
		if (random.chance(0.5))
			words.push(
				`status_code ${random.pick(["200", "200-299", "200-404", "100-199", "302 304", "204", "503", "100-599", "201-299 200"])}`,
			);
		if (random.chance(0.3)) words.push(`virtualhost ${random.pick(["www.example", "x"])}`);
		if (random.chance(0.35)) {
			words.push(
				`regex "${random.pick(["status: ok", "STATUS", "number [0-9]+", "^<html>", "ok$", "</html>$", "zzz", "z+<html>", "\\\\x00"])}"`,
			);
			if (random.chance(0.3)) words.push("regex_no_match");
			if (random.chance(0.3))
				words.push(`regex_options ${random.pick(["caseless", "multiline", "dotall", "caseless multiline"])}`);
			if (random.chance(0.2)) words.push(`regex_min_offset ${random.pick([0, 1, 6, 7, 40])}`);
			if (random.chance(0.2)) words.push(`regex_max_offset ${random.pick([0, 1, 6, 7, 8, 40])}`);
		}
		return `url {\n${words.join("\n")}\n}`;
	};
	const timing = (more: readonly string[] = []) =>
		[
			...more,
			`retry ${random.integer(0, 2)}`,
			`delay_before_retry ${seconds(0.2 + random.next() * 0.4)}`,
			`delay_loop ${seconds(0.5 + random.next() * 0.5)}`,
			`warmup ${seconds(random.next() * 0.5)}`,
			...(random.chance(0.3) ? ["log_all_failures"] : []),
		].join("\n");
	const connecting = (port: number) =>
		timing([`connect_port ${port}`, `connect_timeout ${seconds(0.4 + random.next() * 0.5)}`]);

	const makers: Readonly<Record<string, () => PlannedCheck>> = {
		TCP_CHECK: () => {
			const port = nextPort++;
			return {
				kind: "TCP_CHECK",
				text: `TCP_CHECK {\n${connecting(port)}\n}`,
				behaviours: stream("listens", connects, "\n", port),
			};
		},
		HTTP_GET: () => http("HTTP_GET"),
		SSL_GET: () => http("SSL_GET"),
		SMTP_CHECK: () => {
			const port = nextPort++;
			return {
				kind: "SMTP_CHECK",
				text: `SMTP_CHECK {\n${connecting(port)}\n${random.chance(0.5) ? "helo_name a.example\n" : ""}}`,
				behaviours: stream("good mail", mails, "\n", port),
			};
		},
		DNS_CHECK: () => {
			const port = nextPort++;
			return {
				kind: "DNS_CHECK",
				text: `DNS_CHECK {\n${connecting(port)}\ntype ${random.pick(["A", "SOA", "AAAA", "TXT"])}\nname ${random.pick(["example.org", ".", "a.b"])}\n}`,
				behaviours: datagrams("an answer", names, port),
			};
		},
		UDP_CHECK: () => {
			const port = nextPort++;
			const options = [
				"payload 0102",
				...(random.chance(0.6) ? [`require_reply ${random.pick(["", "01", "0102XX", "01XX03"])}`] : []),
				...(random.chance(0.3) ? [`min_reply_length ${random.pick([1, 2, 5])}`] : []),
				...(random.chance(0.3) ? [`max_reply_length ${random.pick([3, 4, 1000])}`] : []),
			];
			return {
				kind: "UDP_CHECK",
				text: `UDP_CHECK {\n${connecting(port)}\n${options.join("\n")}\n}`,
				behaviours: datagrams("a right reply", echoes, port),
			};
		},
		PING_CHECK: () => {
			const host = nextPort++ - 20_000;
			return {
				kind: "PING_CHECK",
				text: `PING_CHECK {\n${timing([`connect_ip 10.8.${4 + (host >> 8)}.${host & 255}`, "connect_timeout 0.5"])}\n}`,
				behaviours: eachPhase("answers", ["answers", "dropped"], (phase, name) => {
					if (name === "dropped") dropped[phase]!.push(-host);
				}),
			};
		},
		MISC_CHECK: () => {
			const name = `script-${nextPort++}`;
			const options = [
				...(random.chance(0.6) ? ["misc_dynamic"] : []),
				...(random.chance(0.8) ? ["misc_timeout 1"] : []),
				...(random.chance(0.3) ? ["user nobody"] : []),
			];
			return {
				kind: "MISC_CHECK",
				text: `MISC_CHECK {\nmisc_path "/bin/sh @SHARED@/${name} ${random.pick(["", "a word", "'two words'"])}"\n${timing(options)}\n}`,
				behaviours: eachPhase("exit 0", Object.keys(scripts), (phase, which) => {
					files[phase]![name] = scripts[which]!;
				}),
			};
		},
		FILE_CHECK: () => {
			const name = `number-${nextPort++}`;
			const weight = random.pick(["0", "1", "2", "-1", "1 reverse"]);
			trackFiles.push(`track_file ${name} {\nfile @SHARED@/${name}\nweight ${weight}\n}`);
			const own = random.chance(0.4) ? random.pick(["0", "3", "-2", "0 reverse"]) : null;
			return {
				kind: "FILE_CHECK",
				text: `FILE_CHECK {\ntrack_file ${name}\n${own === null ? "" : `weight ${own}\n`}}`,
				weight: own ?? weight,
				behaviours: eachPhase("0", Object.keys(numbers), (phase, which) => {
					files[phase]![name] = numbers[which]!;
				}),
			};
		},
	};
	function http(kind: "HTTP_GET" | "SSL_GET"): PlannedCheck {
		const port = nextPort++;
		const options = [
			...(random.chance(0.5) ? [`http_protocol ${random.pick(["1.0", "1.1", "1.0C"])}`] : []),
			...(random.chance(0.3) ? ["fast_recovery"] : []),
			...(kind === "SSL_GET" && random.chance(0.4) ? ["enable_sni"] : []),
			...(random.chance(0.2) ? ["virtualhost check.example"] : []),
		];
		const urls = Array.from({ length: random.pick([1, 1, 1, 2, 3]) }, urlText);
		return {
			kind,
			text: `${kind} {\n${urls.join("\n")}\n${connecting(port)}\n${options.join("\n")}\n}`,
			behaviours: stream("a good answer", pages, "\r\n\r\n", port, kind === "SSL_GET"),
		};
	}

	const kinds = only === null ? Object.keys(makers) : only.split(",");
	// HTTP has the most to get wrong.
	const weighted =
		only === null ? [...kinds, "HTTP_GET", "HTTP_GET", "HTTP_GET", "SMTP_CHECK", "MISC_CHECK"] : kinds;
	const planned: PlannedServer[] = [];
	const blocks: string[] = [];
	let virtualServers = 0;
	while (planned.length < servers) {
		const virtualServer = virtualServers++;
		const count = Math.min(servers - planned.length, random.pick([1, 1, 2, 3, 4]));
		const alpha = random.chance(0.5);
		const lines = [
			`virtual_server 10.9.${virtualServer >> 8}.${virtualServer & 255} 80 {`,
			"delay_loop 1\nlb_algo wrr\nlb_kind NAT\nprotocol TCP",
			...(alpha ? ["alpha"] : []),
			...(random.chance(0.3) ? ["omega"] : []),
			...(random.chance(0.4) ? [`quorum ${random.integer(1, 5)}`, `hysteresis ${random.integer(0, 2)}`] : []),
			...(random.chance(0.3) ? ["inhibit_on_failure"] : []),
			...(random.chance(0.4) ? [`sorry_server 10.8.0.2 ${9_000 + virtualServer}`] : []),
			...(random.chance(0.3) ? ["sorry_server_inhibit"] : []),
			`quorum_up "/bin/sh @SHARED@/note @FOLDER@ VS-${virtualServer} UP"`,
			`quorum_down "/bin/sh @SHARED@/note @FOLDER@ VS-${virtualServer} DOWN"`,
		];
		for (let index = 0; index < count; index++) {
			const port = 10_000 + planned.length;
			const checks = Array.from({ length: random.pick([1, 1, 1, 1, 2, 3]) }, () =>
				makers[random.pick(weighted)]!(),
			);
			const own = random.chance(0.2);
			lines.push(
				`real_server ${SERVER_ADDRESS} ${port} {`,
				`weight ${random.integer(1, 4)}`,
				...(random.chance(0.2) ? ["inhibit_on_failure"] : []),
				...(own ? ["alpha"] : []),
				`notify_up "/bin/sh @SHARED@/note @FOLDER@ RS-${port} UP"`,
				`notify_down "/bin/sh @SHARED@/note @FOLDER@ RS-${port} DOWN"`,
				...checks.map(({ text }) => text),
				"}",
			);
			planned.push({ port, virtualServer, alpha: alpha || own, checks });
		}
		lines.push("}");
		blocks.push(lines.join("\n"));
	}
	return {
		config: `${[...trackFiles, ...blocks].join("\n")}\n`,
		servers: planned,
		virtualServers,
		phases: roles.map((ports, phase) => ({ ports, files: files[phase]!, dropped: dropped[phase]! })),
	};
}
