/**
 * Who claims a virtual address that is not theirs, judged from what was heard over time. Pure.
 *
 * In DR mode every real server holds the VIP and must keep quiet about it. One that answers ARP for it
 * draws the clients away from the director, past IPVS: it works, for some, until that server is gone.
 */

/** Two claims this far apart: a gratuitous ARP in the moment of a failover is none. */
export const CLAIM_CONFIRMED_AFTER_MS = 800;
/** A claim that was not repeated within this is over. */
export const CLAIM_OVER_AFTER_MS = 60_000;
/** Claims kept at a time, over all VIPs. */
export const CLAIMS_LIMIT = 1_024;

/** What was heard: somebody said "VIP is at MAC". */
export interface Claim {
	readonly vip: string;
	/** "aa:bb:cc:dd:ee:ff". */
	readonly mac: string;
	readonly interface: string;
}

/** What this box knows when it hears a claim. */
export interface ClaimView {
	/** The MAC is one of this box's own. */
	readonly own: boolean;
	/** This box holds the VIP now. */
	readonly vipIsHere: boolean;
	/** The real server that has this MAC, as far as it is known. */
	readonly realServer: string | null;
	/** Some address that has this MAC. */
	readonly neighbour: string | null;
}

export interface VipConflict extends Claim {
	readonly realServer: string | null;
	/** In the operator's words. */
	readonly detail: string;
}

export interface Claims {
	readonly heard: ReadonlyMap<
		string,
		{ readonly firstMs: number; readonly lastMs: number; readonly conflict: VipConflict | null }
	>;
}

export const noClaims: Claims = { heard: new Map() };

/** Takes in one claim. `confirmed` is set when it has just become a conflict; `doubtful` asks for another probe. */
export function hearClaim(
	claims: Claims,
	claim: Claim,
	view: ClaimView,
	nowMs: number,
): { claims: Claims; confirmed: VipConflict | null; doubtful: boolean } {
	// Where the VIP is elsewhere, its holder may speak for it; a real server may not.
	if (view.own || (!view.vipIsHere && view.realServer === null))
		return { claims, confirmed: null, doubtful: false };
	const key = `${claim.vip} ${claim.mac}`;
	const before = claims.heard.get(key);
	if (before === undefined && claims.heard.size >= CLAIMS_LIMIT)
		return { claims, confirmed: null, doubtful: false };
	const firstMs = before?.firstMs ?? nowMs;
	const ripe = nowMs - firstMs >= CLAIM_CONFIRMED_AFTER_MS;
	const conflict = before?.conflict ?? (ripe ? conflictOf(claim, view) : null);
	const heard = new Map(claims.heard);
	heard.set(key, { firstMs, lastMs: nowMs, conflict });
	return {
		claims: { heard },
		confirmed: before?.conflict == null ? conflict : null,
		doubtful: conflict === null,
	};
}

/** Drops what was not heard again. `over` are the conflicts that ended by it. */
export function ageClaims(claims: Claims, nowMs: number): { claims: Claims; over: readonly VipConflict[] } {
	const over: VipConflict[] = [];
	const heard = new Map<string, { firstMs: number; lastMs: number; conflict: VipConflict | null }>();
	for (const [key, each] of claims.heard)
		if (nowMs - each.lastMs < CLAIM_OVER_AFTER_MS) heard.set(key, each);
		else if (each.conflict !== null) over.push(each.conflict);
	return heard.size === claims.heard.size ? { claims, over } : { claims: { heard }, over };
}

/** Those that stand now. */
export function conflictsOf(claims: Claims): readonly VipConflict[] {
	return [...claims.heard.values()].flatMap(({ conflict }) => conflict ?? []);
}

function conflictOf(claim: Claim, view: ClaimView): VipConflict {
	const protocol = claim.vip.includes(":") ? "neighbour discovery" : "ARP";
	const who =
		view.realServer !== null
			? `real server ${view.realServer} (${claim.mac})`
			: view.neighbour !== null
				? `${view.neighbour} (${claim.mac})`
				: `a host with MAC ${claim.mac}`;
	const cure = view.realServer === null ? "" : `; "drover realserver DR" prints what it lacks`;
	return {
		...claim,
		realServer: view.realServer,
		detail: `${who} answers ${protocol} for the VIP ${claim.vip} on ${claim.interface}${cure}`,
	};
}
