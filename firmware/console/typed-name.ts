/** What cannot be undone wants the host's name: from the terminal, or from a program that knows what it does. */
import { hostname } from "node:os";
import { createInterface } from "node:readline/promises";

/** `given`: what `--name` said, if it did. False, and said so ("Nothing is DONE"), when it is another name. */
export async function nameTyped(
	given: string | undefined,
	consequence: string,
	done: string,
): Promise<boolean> {
	if (given === undefined) console.log(consequence);
	const typed = given ?? (await typedLine(`Type the name of this box (${hostname()}) to go on: `));
	if (typed.trim() === hostname()) return true;
	console.error(`Nothing is ${done}: this box is called ${hostname()}.`);
	return false;
}

/** What is typed behind `question`; where nobody is there to type, as in a script, nothing. */
export async function typedLine(question: string): Promise<string> {
	const prompt = createInterface({ input: process.stdin, output: process.stdout });
	const ended = new Promise<string>((resolve) => prompt.once("close", () => resolve("")));
	try {
		return await Promise.race([prompt.question(question), ended]);
	} finally {
		prompt.close();
	}
}
