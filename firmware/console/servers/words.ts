/** Words on the command line into what is to be changed. Pure. Throws UsageError. */
import { UsageError } from "../usage-error.ts";
import type { NewCheck, NewRealServer, VirtualServerChange } from "./edit.ts";
import { type Endpoint, parseEndpoint } from "./name.ts";

const schedulers = "rr wrr lc wlc lblc lblcr sh mh dh fo ovf sed nq twos".split(" ");
export const WEIGHT_LIMIT = 65_535;
const SECONDS_LIMIT = 2_678_400;

export function endpoint(text: string | undefined, what: string): Endpoint {
	const found = text === undefined ? null : parseEndpoint(text);
	if (found === null)
		throw new UsageError(
			text === undefined
				? `say which ${what}: ADDRESS:PORT`
				: `"${text}" is not ADDRESS:PORT, such as 10.0.0.4:80`,
		);
	return found;
}

export function scheduler(text: string): string {
	const name = text.toLowerCase();
	if (!schedulers.includes(name))
		throw new UsageError(`there is no scheduler "${text}": ${schedulers.join(", ")}`);
	return name;
}

export function forwarding(text: string): "NAT" | "DR" | "TUN" {
	const name = text.toUpperCase();
	if (name === "NAT" || name === "DR" || name === "TUN") return name;
	throw new UsageError(`there is no forwarding "${text}": NAT, DR or TUN`);
}

export function protocol(text: string): "TCP" | "UDP" | "SCTP" {
	const name = text.toUpperCase();
	if (name === "TCP" || name === "UDP" || name === "SCTP") return name;
	throw new UsageError(`there is no protocol "${text}": TCP, UDP or SCTP`);
}

/** "tcp", "none", or "http:/path". */
export function check(text: string): NewCheck {
	if (text === "tcp" || text === "none") return { kind: text };
	const path = /^http:(\/[\x21-\x7e]*)$/.exec(text)?.[1];
	if (path !== undefined && !/["#!{}]/.test(path)) return { kind: "http", path };
	throw new UsageError(`"${text}" is no check: tcp, none, or http:/PATH`);
}

export function whole(text: string, least: number, most: number, what: string): number {
	const value = Number(text);
	if (!/^\d{1,9}$/.test(text) || value < least || value > most)
		throw new UsageError(`${what} is a number from ${least} to ${most}, not "${text}"`);
	return value;
}

/** "10.0.0.4:80" or "10.0.0.4:80=3" with a weight. */
export function newRealServer(text: string, of: NewCheck): NewRealServer {
	const [place = "", weight, ...rest] = text.split("=");
	if (rest.length > 0) throw new UsageError(`"${text}" is not ADDRESS:PORT=WEIGHT`);
	return {
		...endpoint(place, "real server"),
		weight: weight === undefined ? 1 : whole(weight, 0, WEIGHT_LIMIT, "a weight"),
		check: of,
	};
}

export interface ChangeWords {
	readonly scheduler?: string | undefined;
	readonly forward?: string | undefined;
	readonly persistence?: string | undefined;
	readonly quorum?: string | undefined;
	readonly "delay-loop"?: string | undefined;
	readonly sorry?: string | undefined;
}

export function virtualServerChange(words: ChangeWords): VirtualServerChange {
	const { persistence, sorry, quorum } = words;
	const delay = words["delay-loop"];
	const change: VirtualServerChange = {
		...(words.scheduler === undefined ? {} : { scheduler: scheduler(words.scheduler) }),
		...(words.forward === undefined ? {} : { forwarding: forwarding(words.forward) }),
		...(persistence === undefined
			? {}
			: {
					persistence:
						persistence === "off" ? null : String(whole(persistence, 1, SECONDS_LIMIT, "--persistence")),
				}),
		...(quorum === undefined ? {} : { quorum: String(whole(quorum, 1, 1_000_000, "--quorum")) }),
		...(delay === undefined ? {} : { delay: String(whole(delay, 1, 3_600, "--delay-loop")) }),
		...(sorry === undefined ? {} : { sorry: sorry === "off" ? null : sorryWords(sorry) }),
	};
	if (Object.keys(change).length === 0)
		throw new UsageError(
			"say what to change: --scheduler, --forward, --persistence, --quorum, --delay-loop or --sorry",
		);
	return change;
}

function sorryWords(text: string): string {
	const { address, port } = endpoint(text, "sorry server");
	return `${address} ${port}`;
}
