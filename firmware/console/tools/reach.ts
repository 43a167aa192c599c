/** What ping and traceroute (busybox's, or Debian's ping) say, for programs. Pure. */

export interface PingFacts {
	readonly sent: number;
	readonly received: number;
	/** Null when nothing came back. */
	readonly roundTripMs: { readonly least: number; readonly average: number; readonly most: number } | null;
}

/** Null of a text without its summary: the host has no address, or nothing leads there. */
export function pingFacts(text: string): PingFacts | null {
	const counted = /^(\d+) packets transmitted, (\d+) (?:packets )?received/m.exec(text);
	if (counted === null) return null;
	const times = /= ([\d.]+)\/([\d.]+)\/([\d.]+)/.exec(text)?.slice(1).map(Number);
	return {
		sent: Number(counted[1]),
		received: Number(counted[2]),
		roundTripMs: times === undefined ? null : { least: times[0]!, average: times[1]!, most: times[2]! },
	};
}

export interface Hop {
	readonly hop: number;
	/** Null when nobody answered. */
	readonly address: string | null;
	readonly roundTripMs: number | null;
}

export function traceFacts(text: string): readonly Hop[] {
	return [...text.matchAll(/^ *(\d+) {2}(.*)$/gm)].map(([, hop, said]) => {
		const roundTrip = /([\d.]+) ms/.exec(said!)?.[1];
		return {
			hop: Number(hop),
			address: /\(([\da-f.:]+)\)/i.exec(said!)?.[1] ?? null,
			roundTripMs: roundTrip === undefined ? null : Number(roundTrip),
		};
	});
}
