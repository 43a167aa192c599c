/** Item 3: virtual servers and their real servers. Pure. */
import type { RealServerStatus, VirtualServerStatus } from "../../status/director.ts";
import { canonicalAddress } from "../../wire/ip.ts";
import { endpointText, parseEndpoint, shortName } from "../servers/name.ts";
import { realServerList, virtualServerList } from "../servers/screen.ts";
import * as read from "../servers/words.ts";
import { UsageError } from "../usage-error.ts";
import { changeByCommand } from "./change.ts";
import {
	agree,
	askChange,
	askFor,
	choose,
	type Dialogue,
	facts,
	hostNameTyped,
	run,
	say,
} from "./dialogue.ts";
import { submenu } from "./submenu.ts";

export function virtualServerMenu(): Dialogue {
	return submenu("servers", "Virtual servers", [
		{
			label: "List",
			command: "vs list",
			*dialogue() {
				const servers = yield* virtualServers();
				if (servers !== null) yield* say(virtualServerList(servers));
			},
		},
		{ label: "Real servers of one", command: "rs list VIRTUAL", dialogue: realServerMenu },
		{ label: "Add", command: "vs add ADDRESS:PORT", dialogue: add },
		{ label: "Change", command: "vs change VIRTUAL", dialogue: change },
		{ label: "Drain", command: "vs drain VIRTUAL", dialogue: () => override("drain") },
		{ label: "Maintenance", command: "vs maintenance VIRTUAL", dialogue: () => override("maintenance") },
		{ label: "End drain or maintenance", command: "vs undo VIRTUAL", dialogue: () => override("undo") },
		{ label: "Remove", command: "vs remove VIRTUAL", dialogue: remove },
	]);
}

/** Stands where the status does not say what is set. */
const AS_IT_IS = "as it is";

/** Null, and said why, when the director does not answer. */
function* virtualServers(): Dialogue<readonly VirtualServerStatus[] | null> {
	const { director } = yield* facts();
	if (director.kind === "running") return director.status.virtualServers;
	yield* say([`Balancing does not run: ${director.reason}`]);
	return null;
}

/** The list, and one of it. */
function* pick(): Dialogue<VirtualServerStatus | null> {
	const servers = yield* virtualServers();
	if (servers === null) return null;
	yield* say(virtualServerList(servers));
	return yield* choose("Which virtual server", servers);
}

function* add(): Dialogue {
	const place = yield* askFor("Address and port, such as 192.168.80.200:80", (text) =>
		read.endpoint(text, "virtual server"),
	);
	if (place === null) return;
	const protocol = yield* askFor("Protocol: tcp, udp, sctp", read.protocol, "tcp");
	if (protocol === null) return;
	const forwarding = yield* askFor("Forwarding: nat, dr, tun", read.forwarding, "nat");
	if (forwarding === null) return;
	const scheduler = yield* askFor("Scheduler: rr, wrr, lc, wlc, sh, mh ...", read.scheduler, "wlc");
	if (scheduler === null) return;
	const check = yield* askFor("Check of its real servers: tcp, http:/PATH, none", checked, "tcp");
	if (check === null) return;
	const reals: string[] = [];
	yield* say(["Real servers, one a line: ADDRESS, ADDRESS:PORT or ADDRESS:PORT=WEIGHT;", "Enter ends."]);
	for (;;) {
		const real = yield* askFor(`Real server ${reals.length + 1}`, (text) => realServerWord(text, place.port));
		if (real === null) break;
		reals.push(real);
	}
	yield* changeByCommand([
		"vs",
		"add",
		endpointText(place),
		...["--protocol", protocol.toLowerCase(), "--forward", forwarding.toLowerCase()],
		...["--scheduler", scheduler, "--check", check],
		...reals.flatMap((real) => ["--real", real]),
	]);
}

/** The word as it was typed, once it is known to be good. */
function checked(text: string): string {
	read.check(text);
	return text;
}

/** An address alone gets the virtual server's own port. */
function realServerWord(text: string, port: number): string {
	const [place = "", weight] = text.split("=");
	const address = canonicalAddress(place);
	const full = address === null ? place : endpointText({ address, port });
	const word = weight === undefined ? full : `${full}=${weight}`;
	read.newRealServer(word, { kind: "none" });
	return word;
}

function* change(): Dialogue {
	const server = yield* pick();
	if (server === null) return;
	yield* say([`${shortName(server.name)}: Enter leaves a value as it is, 0 gives up.`]);
	const words: string[] = [];
	const questions = [
		["Scheduler", server.scheduler, "--scheduler", read.scheduler],
		["Forwarding: nat, dr, tun", server.forwarding.toLowerCase(), "--forward", read.forwarding],
		[
			"Quorum",
			String(server.quorum),
			"--quorum",
			(text: string) => String(read.whole(text, 1, 1_000_000, "a quorum")),
		],
		[
			"Persistence in seconds, or off",
			AS_IT_IS,
			"--persistence",
			offOr((text) => read.whole(text, 1, 2_678_400, "persistence")),
		],
		[
			"Checked every so many seconds",
			AS_IT_IS,
			"--delay-loop",
			(text: string) => String(read.whole(text, 1, 3_600, "the period")),
		],
		[
			"Sorry server ADDRESS:PORT, or off",
			AS_IT_IS,
			"--sorry",
			offOr((text) => endpointText(read.endpoint(text, "sorry server"))),
		],
	] as const;
	for (const [question, now, option, readWord] of questions) {
		const answer = yield* askChange(question, now, readWord);
		if (answer === null) return;
		if (answer !== undefined) words.push(option, answer);
	}
	if (words.length === 0) return yield* say(["Nothing was changed."]);
	yield* changeByCommand(["vs", "change", shortName(server.name), ...words]);
}

function offOr(readWord: (text: string) => string | number): (text: string) => string {
	return (text) => (text.toLowerCase() === "off" ? "off" : String(readWord(text)));
}

function* override(action: "drain" | "maintenance" | "undo"): Dialogue {
	const server = yield* pick();
	if (server === null) return;
	const name = shortName(server.name);
	const consequence = {
		drain: `All of ${name} takes no new connections from now on. Do it?`,
		maintenance: `All of ${name} goes out at once, and its connections end. Do it?`,
		undo: null,
	}[action];
	if (consequence !== null && !(yield* agree(consequence))) return;
	yield* run(["vs", action, name]);
}

function* remove(): Dialogue {
	const server = yield* pick();
	if (server === null) return;
	const name = shortName(server.name);
	if (
		yield* hostNameTyped([`${name} and its ${server.totalRealServers} real servers go; its connections end.`])
	)
		yield* changeByCommand(["vs", "remove", name]);
}

function* realServerMenu(): Dialogue {
	const server = yield* pick();
	if (server === null) return;
	const name = shortName(server.name);
	/** As it is now: it may have changed since it was picked. */
	function* now(): Dialogue<VirtualServerStatus | null> {
		const servers = yield* virtualServers();
		return servers?.find((each) => each.name === server!.name) ?? null;
	}
	function* pickReal(): Dialogue<RealServerStatus | null> {
		const current = yield* now();
		if (current === null) return null;
		yield* say(realServerList(current));
		return yield* choose("Which real server", current.realServers);
	}
	const withReal = (act: (name: string, real: RealServerStatus) => Dialogue) =>
		function* (): Dialogue {
			const real = yield* pickReal();
			if (real !== null) yield* act(endpointText(real), real);
		};
	const override = (action: "drain" | "maintenance" | "undo") =>
		withReal(function* (real) {
			const current = yield* now();
			if (action !== "undo" && current !== null && isLastIn(current, real)) {
				const last = `${real} is the last of ${name} that is in: without it there is no service. Do it?`;
				if (!(yield* agree(last))) return;
			}
			yield* run(["rs", action, real, name]);
		});
	yield* submenu("real servers", `Real servers of ${name}`, [
		{
			label: "List",
			command: `rs list ${name}`,
			*dialogue() {
				const current = yield* now();
				if (current !== null) yield* say(realServerList(current));
			},
		},
		{
			label: "Why is one in or out?",
			command: "rs why REAL",
			dialogue: withReal(function* (real) {
				yield* run(["rs", "why", real, name]);
			}),
		},
		{ label: "Add", command: "rs add REAL VIRTUAL", dialogue: () => addReal(name) },
		{
			label: "Change the weight",
			command: "rs change REAL VIRTUAL",
			dialogue: withReal(function* (real, { weight, effectiveWeight = weight }) {
				const set = yield* askChange(`Weight of ${real}`, String(effectiveWeight), weightText, "value");
				if (set === undefined) return yield* say(["Nothing was changed."]);
				if (set !== null) yield* changeByCommand(["rs", "change", real, name, "--weight", set]);
			}),
		},
		{ label: "Drain", command: "rs drain REAL", dialogue: override("drain") },
		{ label: "Maintenance", command: "rs maintenance REAL", dialogue: override("maintenance") },
		{ label: "End drain or maintenance", command: "rs undo REAL", dialogue: override("undo") },
		{
			label: "Remove",
			command: "rs remove REAL VIRTUAL",
			dialogue: withReal(function* (real) {
				if (
					yield* hostNameTyped([
						`${real} goes out of ${name}, and its connections end. Drain it first to spare them.`,
					])
				)
					yield* changeByCommand(["rs", "remove", real, name]);
			}),
		},
	]);
}

/** Whether this real server takes new connections, and no other one does. */
function isLastIn({ realServers }: VirtualServerStatus, real: string): boolean {
	const serving = realServers.filter(({ alive, override }) => alive && !override).map(endpointText);
	return serving.length === 1 && serving[0] === real;
}

const weightText = (text: string) => String(read.whole(text, 0, read.WEIGHT_LIMIT, "a weight"));

function* addReal(name: string): Dialogue {
	const port = parseEndpoint(name.replace(/\/\w+$/, ""))?.port;
	const real = yield* askFor("Real server, ADDRESS:PORT", (text) => {
		if (port === undefined && canonicalAddress(text) !== null)
			throw new UsageError("say its port too: ADDRESS:PORT");
		return realServerWord(text, port ?? 0);
	});
	if (real === null) return;
	const [place = "", given] = real.split("=");
	const weight = given ?? (yield* askFor("Weight", weightText, "1", "value"));
	if (weight === null) return;
	const check = yield* askFor("Check: tcp, http:/PATH, none", checked, "tcp");
	if (check === null) return;
	yield* changeByCommand(["rs", "add", place, name, "--weight", weight, "--check", check]);
}
