/** How an answer came about, in the words of the Cache-Status field (RFC 9211). Pure. */
import { isUnsafe } from "../store/freshness.ts";
import type { Answer } from "./answer.ts";

/** For Cache-Status, the access log and `drover cache why`. */
export type Handling = "hit" | "miss" | "pass" | "pipe" | "synth" | "error";

interface Handled {
	readonly handling: Handling;
	/** In the operator's words. */
	readonly why: string;
	/** Unix seconds. */
	readonly now: number;
	readonly req: { readonly method: string; readonly isHitmiss: boolean };
}

/** The one member that this cache adds. */
export function cacheStatus(request: Handled, answer: Answer): string {
	const { handling, req } = request;
	const why = request.why.replace(/["\\]/g, "");
	switch (handling) {
		case "hit":
			return `"Drover"; hit; ttl=${Math.floor(answer.tOrigin + answer.ttl - request.now)}`;
		case "miss": {
			const forward = req.isHitmiss
				? "bypass"
				: why.includes("lifetime")
					? "stale"
					: why.includes("Vary")
						? "vary-miss"
						: "uri-miss";
			return `"Drover"; fwd=${forward}; fwd-status=${answer.status}${answer.uncacheable ? "" : "; stored"}; detail="${why}"`;
		}
		default:
			return `"Drover"; fwd=${isUnsafe(req.method) ? "method" : "bypass"}; fwd-status=${answer.status}; detail="${why}"`;
	}
}
