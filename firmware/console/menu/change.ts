/** A change of the configuration from the menu: plan shown, put into force for minutes, then confirmed. Pure. */
import type { PendingCommit } from "../facts.ts";
import { wrap } from "../wrap.ts";
import { agree, ask, type Dialogue, facts, run, say } from "./dialogue.ts";

/** `words` is a command that takes --plan and --yes, such as `vs remove 10.0.0.1:80`; `input` is what it reads. */
export function* changeByCommand(words: readonly string[], input: readonly string[] = []): Dialogue {
	if ((yield* run([...words, "--plan"], input)) !== 0) return;
	if (!(yield* agree("Put this into force, to be taken back in 5 minutes unless confirmed?")))
		return yield* say(["Nothing was changed."]);
	yield* runCommit([...words, "--yes"], input);
}

/**
 * Runs a command that commits, and asks about its commit. One that was refused leaves none: what waits then is somebody
 * else's, of whom this operator knows nothing.
 */
export function* runCommit(words: readonly string[], input: readonly string[] = []): Dialogue {
	const before = (yield* facts()).revision.current;
	yield* run(words, input);
	// In force, but with trouble somewhere: then all the more somebody has to say whether it stays.
	if ((yield* facts()).revision.current !== before) yield* confirmWaiting();
}

/** Asks whether the commit that waits shall stay. */
function* confirmWaiting(): Dialogue {
	const { revision } = yield* facts();
	if (revision.pending === null) return;
	const { revision: asked, previous } = revision.pending;
	for (;;) {
		const answer = yield* ask("Does everything work? y keeps it, n takes it back now, Enter: later ");
		const keeps = /^y(es)?$/i.test(answer);
		if (keeps || /^no?$/i.test(answer)) {
			// Its time may have run out over the question, or somebody else have decided, and gone on from there.
			const now = (yield* facts()).revision;
			if (now.pending?.revision === asked)
				yield* run(keeps ? ["config", "confirm"] : ["config", "rollback", String(previous)]);
			else yield* say(wrap(decidedElsewhere(revision.pending, now.current), ""));
			return;
		}
		if (answer === "" || answer === "0")
			return yield* say(["It waits: 6 Configuration confirms it. Without that it is taken back by itself."]);
		yield* say(["y, n or Enter."]);
	}
}

/** Why an answer came too late. */
function decidedElsewhere(asked: PendingCommit, current: number | null): string {
	switch (current) {
		case asked.revision:
			return `Somebody else has confirmed revision ${asked.revision} meanwhile: it stays. Your answer did nothing.`;
		case asked.previous:
			return `Revision ${asked.revision} was taken back meanwhile: revision ${current} is in force. Your answer did nothing.`;
		default:
			return `Somebody else has gone on to revision ${current} meanwhile. Your answer did nothing.`;
	}
}
