/** The last moment of whoever tells others of events. */
import type { Mailer } from "./mail.ts";

/**
 * Waits at most `limitMs` for scripts to end and for letters to go. Returns what was not waited for, in words for the log;
 * null when all is done.
 */
export async function farewell(
	scripts: ReadonlySet<Promise<unknown>>,
	mailer: Mailer,
	limitMs: number,
): Promise<string | null> {
	await Promise.race([Promise.allSettled([...scripts, mailer.settle()]), Bun.sleep(limitMs)]);
	const left = [
		...(scripts.size === 0 ? [] : [`notify scripts, which run on: ${scripts.size}`]),
		...(mailer.unsent === 0 ? [] : [`mails, which may be lost: ${mailer.unsent}`]),
	];
	return left.length === 0 ? null : `not waited for: ${left.join("; ")}`;
}
