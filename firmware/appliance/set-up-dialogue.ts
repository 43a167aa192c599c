/**
 * The first start of a box: a password, then its name, which port is outside and which inside,
 * addresses, gateway. Pure: the ports are asked for with a step, so that cables can be moved
 * while the question stands.
 */
import { ask, type Dialogue, say } from "../console/dialogue.ts";
import { parseAddress } from "../wire/ip.ts";
import { choosePassword } from "./password-dialogue.ts";

/** What is shown of a port. */
export interface PortSight {
	readonly name: string;
	readonly macAddress: string;
	readonly carrier: boolean;
	/** Null when the driver does not know. */
	readonly speedMegabits: number | null;
}

/** Steps beside those of every dialogue. */
export type SetUpStep =
	/** Answered by a look at the ports: the caller sets `found`. */
	| { readonly kind: "look"; readonly found: (ports: readonly PortSight[]) => void }
	/** The port's light blinks for a while; `told` gets why it cannot, or null. */
	| { readonly kind: "blink"; readonly port: string; readonly told: (problem: string | null) => void };

export interface PortChoice {
	readonly name: string;
	readonly role: "outside" | "inside";
	readonly addresses: readonly string[];
	readonly gateways: readonly string[];
}

export interface SetUp {
	readonly password: string;
	/** Null when the person wants to do that later. */
	readonly network: NetworkChoice | null;
}

export interface NetworkChoice {
	readonly hostname: string;
	readonly ports: readonly PortChoice[];
	readonly dns: readonly string[];
}

export interface NewBox {
	readonly version: string;
	/** A preset has given it its network already: only the password is missing. */
	readonly hasNetwork: boolean;
}

/** The whole first start. Null when it was given up before there was a password. */
export function* setUp(box: NewBox): Dialogue<SetUp | null, SetUpStep> {
	yield say(
		"",
		`Drover ${box.version}: this box has not been set up yet.`,
		"",
		"First a password for this console. There is none until you choose one.",
	);
	const password = yield* choosePassword();
	if (password === null) return null;
	if (box.hasNetwork) return { password, network: null };
	yield say("", "Now the two network ports. ^C leaves that for later.", "");
	for (;;) {
		const network = yield* chooseNetwork();
		if (network === null) {
			yield say("The network is left as it is; the console sets it up later.");
			return { password, network: null };
		}
		yield say("", ...summary(network), "");
		const answer = yield ask("Is this right? [y/n] ");
		if (answer === null) return { password, network: null };
		if (/^y(es)?$/i.test(answer.trim())) return { password, network };
		yield say("Once more, then.", "");
	}
}

function* chooseNetwork(): Dialogue<NetworkChoice | null, SetUpStep> {
	const hostname = yield* repeat<string>("Name of this box [drover]: ", (text) => {
		const name = text === "" ? "drover" : text;
		return /^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$/.test(name)
			? { value: name }
			: { problem: "A name has letters, digits and hyphens (RFC 1123 §2.1)." };
	});
	if (hostname === null) return null;
	const outside = yield* choosePort("outside, towards the clients", []);
	if (outside === null) return null;
	const inside = outside === "none" ? "none" : yield* choosePort("inside, towards the servers", [outside]);
	if (inside === null) return null;
	const ports: PortChoice[] = [];
	for (const [role, name] of [
		["outside", outside],
		["inside", inside],
	] as const) {
		if (name === "none") continue;
		const port = yield* chooseAddresses(role, name);
		if (port === null) return null;
		ports.push(port);
	}
	const dns = yield* repeat("Name servers, or Enter for none: ", (text) =>
		eachWord(text, (word) => (parseAddress(word) === null ? `"${word}" is not an address.` : null), 3),
	);
	return dns === null ? null : { hostname, ports, dns };
}

/** In place of the set-up where the password is lost and recovery is forbidden. Ends when a line was typed. */
export function* lockedOut(): Dialogue<void> {
	yield say(
		"",
		"Nobody can log in here: the data with this box's password is lost or damaged,",
		"and the box forbids to set a new one at the machine ([console] password_recovery",
		"= false). A stick with a drover.toml is not taken either.",
		"",
		'What is left is "Factory reset" in the loader\'s menu: switch the box off and on,',
		"and press Escape again and again from when the loader says so. It erases all data;",
		"then the box is set up as a new one, and a backup can be restored.",
	);
	yield ask("Enter looks again: ");
}

/** The name of a port, "none", or null when given up. */
function* choosePort(what: string, taken: readonly string[]): Dialogue<string | null, SetUpStep> {
	let before: readonly PortSight[] | null = null;
	for (;;) {
		let ports: readonly PortSight[] = [];
		yield {
			kind: "look",
			found: (seen) => {
				ports = seen;
			},
		};
		const free = ({ name }: PortSight) => !taken.includes(name);
		if (!ports.some(free)) {
			yield say("No port is left.");
			return "none";
		}
		// A port keeps its number through both questions.
		yield say(...ports.flatMap((port, index) => (free(port) ? [portLine(index + 1, port, before)] : [])));
		before = ports;
		yield say(
			`Which is ${what}?`,
			'Its number; "b" and a number lets its light blink; "-" for none;',
			"Enter looks again (pull a cable and see which one changes).",
		);
		const answer = yield ask("Port: ");
		if (answer === null) return null;
		const words = answer.trim();
		if (words === "-") return "none";
		const [, blink, number] = /^(b\s*)?(\d+)$/i.exec(words) ?? [];
		const port = ports[Number(number) - 1];
		if (port === undefined || !free(port)) {
			if (words !== "") yield say(`There is no port ${words}.`);
			continue;
		}
		if (blink === undefined) return port.name;
		let problem: string | null = null;
		yield {
			kind: "blink",
			port: port.name,
			told: (why) => {
				problem = why;
			},
		};
		yield say(problem ?? `${port.name} has blinked.`);
	}
}

function portLine(number: number, port: PortSight, before: readonly PortSight[] | null): string {
	const was = before?.find(({ name }) => name === port.name);
	const link = port.carrier
		? port.speedMegabits === null
			? "link"
			: `${port.speedMegabits} Mb/s`
		: "no link";
	const changed = was !== undefined && was.carrier !== port.carrier ? "  <- changed" : "";
	return `  ${String(number).padStart(2)}  ${port.name.padEnd(10)} ${port.macAddress}  ${link}${changed}`;
}

function* chooseAddresses(role: PortChoice["role"], name: string): Dialogue<PortChoice | null, SetUpStep> {
	const addresses = yield* repeat(
		`Addresses of ${name} (${role}), such as 192.0.2.10/24; Enter for none: `,
		(text) => eachWord(text, prefixProblem, 64),
	);
	if (addresses === null) return null;
	const gateways =
		role === "inside" || addresses.length === 0
			? []
			: yield* repeat("Gateway, or Enter for none: ", (text) =>
					eachWord(text, (word) => gatewayProblem(word, addresses), 2),
				);
	return gateways === null ? null : { name, role, addresses, gateways };
}

function prefixProblem(text: string): string | null {
	const [host = "", length = "", ...rest] = text.split("/");
	const bytes = parseAddress(host);
	return bytes === null || rest.length > 0 || !/^\d{1,3}$/.test(length) || Number(length) > bytes.length * 8
		? `"${text}" is not an address with its prefix length, such as 192.0.2.10/24.`
		: null;
}

/** A gateway that no own network reaches would cut the box off. */
function gatewayProblem(text: string, addresses: readonly string[]): string | null {
	const gateway = parseAddress(text);
	if (gateway === null) return `"${text}" is not an address.`;
	const reached = addresses.some((prefix) => {
		const [host = "", length = ""] = prefix.split("/");
		const own = parseAddress(host)!;
		if (own.length !== gateway.length) return false;
		const bits = (bytes: Uint8Array) =>
			[...bytes]
				.map((byte) => byte.toString(2).padStart(8, "0"))
				.join("")
				.slice(0, Number(length));
		return bits(own) === bits(gateway);
	});
	return reached ? null : `${text} is in none of this port's networks.`;
}

type Judged<T> = { readonly value: T } | { readonly problem: string };

/** The words of a line, each judged; `problemOf` gives null for a good one. */
function eachWord(
	text: string,
	problemOf: (word: string) => string | null,
	limit: number,
): Judged<readonly string[]> {
	const words = text.split(/[\s,]+/).filter((word) => word !== "");
	if (words.length > limit) return { problem: `At most ${limit}.` };
	const problem = words.map(problemOf).find((why) => why !== null);
	return problem === undefined ? { value: words } : { problem };
}

/** Asks until the answer is good; null is ^C. */
function* repeat<T>(prompt: string, judge: (text: string) => Judged<T>): Dialogue<T | null> {
	for (;;) {
		const answer = yield ask(prompt);
		if (answer === null) return null;
		const judged = judge(answer.trim());
		if ("value" in judged) return judged.value;
		yield say(judged.problem);
	}
}

function summary({ hostname, ports, dns }: NetworkChoice): string[] {
	return [
		`  name      ${hostname}`,
		...ports.map(
			({ name, role, addresses, gateways }) =>
				`  ${role.padEnd(9)} ${name}: ${addresses.join(" ") || "no address"}${gateways.length > 0 ? `, gateway ${gateways.join(" ")}` : ""}`,
		),
		...(dns.length > 0 ? [`  names     from ${dns.join(" ")}`] : []),
	];
}

/** The choice as appliance.toml. */
export function settingsText({ hostname, ports, dns }: NetworkChoice): string {
	const list = (words: readonly string[]) => `[${words.map((word) => JSON.stringify(word)).join(", ")}]`;
	return [
		`hostname = ${JSON.stringify(hostname)}`,
		...(dns.length > 0 ? [`dns = ${list(dns)}`] : []),
		...ports.flatMap(({ name, role, addresses, gateways }) => [
			"",
			"[[port]]",
			`name = ${JSON.stringify(name)}`,
			`role = "${role}"`,
			`addresses = ${list(addresses)}`,
			...(gateways.length > 0 ? [`gateways = ${list(gateways)}`] : []),
		]),
		"",
	].join("\n");
}

/** A keepalived.conf to begin with, so that the services run and can be asked. */
export const emptyKeepalivedConf = `# Nothing is balanced yet. The console's menu adds instances and servers here,
# or put your own keepalived.conf in this place.
`;
