/**
 * The director checks the real servers already: what it knows spares the cache a probe of its own. A server
 * counts as down when a check says so or the operator takes it out; the path check is IPVS's alone, since the
 * cache asks a server by its own address.
 */
import { call, subscribe } from "../../bus/client.ts";
import type { DirectorStatus, RealServerStatus } from "../../status/director.ts";

/** A look now and then, beside the one after every event. */
const LOOK_MS = 5_000;
const RECONNECT_MS = 2_000;

const isUp = ({ checks, override }: RealServerStatus) =>
	checks.every(({ up }) => up) && (override ?? null) === null;

/** "address port" → up in at least one virtual server. */
export function verdictsOf({ virtualServers }: DirectorStatus): Map<string, boolean> {
	const verdicts = new Map<string, boolean>();
	for (const { realServers } of virtualServers)
		for (const real of realServers) {
			const key = `${real.address} ${real.port}`;
			verdicts.set(key, isUp(real) || verdicts.get(key) === true);
		}
	return verdicts;
}

/** Follows the director until the returned function is called. A director that is gone has no verdict. */
export function followDirector(onVerdicts: (verdicts: ReadonlyMap<string, boolean>) => void): () => void {
	let over = false;
	let unsubscribe = () => {};
	let retry: ReturnType<typeof setTimeout> | undefined;
	let looking = false;
	let somethingHappened = false;
	/** One question at a time, as the whole status answers it; what happens meanwhile is the next one's to see. */
	const look = async () => {
		somethingHappened = true;
		if (looking) return;
		looking = true;
		while (somethingHappened && !over) {
			somethingHappened = false;
			const status = await call<DirectorStatus>("director", "status").catch(() => null);
			if (!over) onVerdicts(status === null ? new Map() : verdictsOf(status));
		}
		looking = false;
	};
	const connect = () => {
		unsubscribe = subscribe(
			"director",
			() => void look(),
			() => {
				if (over) return;
				onVerdicts(new Map());
				retry = setTimeout(connect, RECONNECT_MS);
			},
		);
		void look();
	};
	connect();
	const timer = setInterval(() => void look(), LOOK_MS);
	return () => {
		over = true;
		clearInterval(timer);
		clearTimeout(retry);
		unsubscribe();
	};
}
