/**
 * A box that starts takes no address before its director has filled the kernel's table: until then the other box of a
 * pair serves, and what comes here would be lost. `drover director` answers on its socket from that moment on.
 */
import { call } from "../bus/client.ts";

/** A director that takes longer than this has a trouble of its own, which must not cost the addresses. */
export const DIRECTOR_LIMIT_MS = 15_000;
const LOOK_EVERY_MS = 50;

/** Resolves when the director answers: true; or after `limitMs`, or when `isOver` says so: false. */
export async function directorAnswers(limitMs: number, isOver: () => boolean): Promise<boolean> {
	const deadline = performance.now() + limitMs;
	while (!isOver()) {
		const leftMs = deadline - performance.now();
		if (leftMs <= 0) return false;
		try {
			await call("director", "ping", {}, leftMs);
			return true;
		} catch {
			await Bun.sleep(Math.min(LOOK_EVERY_MS, leftMs));
		}
	}
	return false;
}
