/** Request targets (RFC 9110 §7.1) named by URI references in fields such as Location. Pure. */

/**
 * The origin-form target that `reference` names, resolved against a request for `url` at `host`; undefined when it
 * names another origin or nothing that HTTP could ask for.
 */
export function sameOriginTarget(
	reference: string,
	url: string,
	host: string | undefined,
): string | undefined {
	const authority = host ?? "localhost";
	const base = URL.canParse(url, `http://${authority}`) ? new URL(url, `http://${authority}`) : undefined;
	if (base === undefined || !URL.canParse(reference, base.href)) return undefined;
	const target = new URL(reference, base);
	// Which scheme the client used is the business of whatever ends TLS in front of us.
	if (target.protocol !== "http:" && target.protocol !== "https:") return undefined;
	if (target.host.toLowerCase() !== base.host.toLowerCase()) return undefined;
	return target.pathname + target.search;
}
