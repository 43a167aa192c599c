/**
 * A conversation at the console as a pure function: a generator that says lines and asks
 * questions; whoever runs it owns the terminal. So a test types the answers.
 */

export type Step =
	| { readonly kind: "say"; readonly lines: readonly string[] }
	/** Answered by the line that was typed; `secret` is not echoed. */
	| { readonly kind: "ask"; readonly prompt: string; readonly secret: boolean };

/** What was typed; null is ^C: the person wants out of this question. */
export type Reply = string | null;

/** A conversation that ends with a `Result`; null is "given up". */
export type Dialogue<Result, More = never> = Generator<Step | More, Result, Reply>;

export const say = (...lines: readonly string[]): Step => ({ kind: "say", lines });
export const ask = (prompt: string): Step => ({ kind: "ask", prompt, secret: false });
export const askSecret = (prompt: string): Step => ({ kind: "ask", prompt, secret: true });
