/**
 * The path check over time, for one real server of one virtual server in DR or TUN mode. Pure.
 *
 * An ordinary check asks the real server's own address; clients' packets carry the virtual one. A server
 * that lacks the VIP (after a reboot, say) passes every ordinary check and answers no client. The path
 * check sends what a client would send, the way IPVS would, and believes only an answer from the VIP.
 */

/** SYNs without an answer, each waited for a second, until the server is taken out: one lost frame proves nothing. */
export const SILENCES_UNTIL_OUT = 3;
/** A RST is an answer; twice, so that a service that is just restarting is left to its own check. */
export const REFUSALS_UNTIL_OUT = 2;
export const RETRY_AFTER_MS = 1_000;
/** After a silence, which has cost its time already. */
export const RETRY_AFTER_SILENCE_MS = 100;
/** From one service to the next, until each has answered once. */
export const NEXT_SERVICE_AFTER_MS = 10;

export type PathAnswer =
	/** SYN-ACK from the VIP. */
	| { readonly kind: "accepted" }
	/** RST from the VIP. */
	| { readonly kind: "refused" }
	| { readonly kind: "silent" }
	/** The next hop does not answer ARP or neighbour solicitations. */
	| { readonly kind: "unresolved"; readonly nextHop: string }
	/** It cannot be asked this way; the reason is this box's or the configuration's. */
	| { readonly kind: "impossible"; readonly detail: string };

export interface Path {
	/** Every how often it is asked while nothing is wrong. */
	readonly periodMs: number;
	/** UDP services: any answer proves the VIP, and silence proves nothing. */
	readonly anyAnswerWill: boolean;
	/** How many services (VIP and port) take turns. */
	readonly services: number;
	/** False takes the real server out. */
	readonly ok: boolean;
	/** An answer, or the lack of one, has decided. */
	readonly known: boolean;
	/** Answers in a row that were not good, by kind. */
	readonly silences: number;
	readonly refusals: number;
	/** The service asked next. */
	readonly service: number;
	/** Services that have not answered since it began, or since the server came back. */
	readonly unasked: number;
	readonly detail: string;
}

export interface PathStep {
	readonly path: Path;
	readonly nextInMs: number;
	/** Set when the server goes out or comes back. */
	readonly transition?: { readonly ok: boolean };
}

export interface PathRules {
	readonly periodMs: number;
	readonly anyAnswerWill: boolean;
	readonly services: number;
	/** Out until the first answer: a server with alpha. */
	readonly startsDown: boolean;
}

export function newPath(rules: PathRules): Path {
	return {
		periodMs: Math.max(RETRY_AFTER_MS, rules.periodMs),
		anyAnswerWill: rules.anyAnswerWill,
		services: rules.services,
		ok: !rules.startsDown,
		known: false,
		silences: 0,
		refusals: 0,
		service: 0,
		unasked: rules.services,
		detail: "not asked yet",
	};
}

/**
 * The server's own checks have just found it alive again: it may be another one now.
 * It stays out until each VIP has answered once.
 */
export function askAgain(path: Path): Path {
	return {
		...path,
		ok: false,
		known: false,
		silences: 0,
		refusals: 0,
		unasked: path.services,
		detail: "back again, path not asked yet",
	};
}

/** `service` names what was asked: "192.168.80.200:80". */
export function stepPath(path: Path, answer: PathAnswer, service: string): PathStep {
	switch (answer.kind) {
		case "accepted":
			return good(path, `${service} accepted`);
		case "refused":
			if (path.anyAnswerWill) return good(path, `${service} answered`);
			return bad(
				{ ...path, refusals: path.refusals + 1, silences: 0 },
				path.refusals + 1 >= REFUSALS_UNTIL_OUT,
				`has the VIP, but ${service} is closed there`,
			);
		case "silent": {
			if (path.anyAnswerWill)
				return unknown(path, `${service}: no answer to a SYN, which a UDP service need not give`);
			const silences = path.silences + 1;
			return bad(
				{ ...path, silences, refusals: 0 },
				silences >= SILENCES_UNTIL_OUT,
				`answers on its own address, does not accept the VIP: ${service} is silent`,
			);
		}
		case "unresolved": {
			const silences = path.silences + 1;
			return bad(
				{ ...path, silences, refusals: 0 },
				silences >= SILENCES_UNTIL_OUT,
				`${answer.nextHop} does not answer ARP or neighbour discovery`,
			);
		}
		case "impossible":
			return unknown(path, answer.detail);
	}
}

function good(path: Path, detail: string): PathStep {
	const unasked = Math.max(0, path.unasked - 1);
	const next: Path = {
		...path,
		silences: 0,
		refusals: 0,
		service: (path.service + 1) % path.services,
		unasked,
		detail,
	};
	// One that is out may lack another of its addresses.
	if (unasked > 0 && !path.ok) return { path: next, nextInMs: NEXT_SERVICE_AFTER_MS };
	return {
		path: { ...next, ok: true, known: true },
		nextInMs: unasked > 0 ? NEXT_SERVICE_AFTER_MS : path.periodMs,
		...(path.ok ? {} : { transition: { ok: true } }),
	};
}

/** Not decided, and not to be held against the server. */
function unknown(path: Path, detail: string): PathStep {
	const next: Path = { ...path, ok: true, known: false, silences: 0, refusals: 0, detail };
	return { path: next, nextInMs: path.periodMs, ...(path.ok ? {} : { transition: { ok: true } }) };
}

function bad(path: Path, decided: boolean, detail: string): PathStep {
	const soonMs = path.silences > 0 ? RETRY_AFTER_SILENCE_MS : RETRY_AFTER_MS;
	if (!decided && !path.known) return { path: { ...path, detail }, nextInMs: soonMs };
	if (!decided) return { path, nextInMs: path.ok ? soonMs : path.periodMs };
	const next: Path = { ...path, ok: false, known: true, detail };
	return { path: next, nextInMs: path.periodMs, ...(path.ok ? { transition: { ok: false } } : {}) };
}
