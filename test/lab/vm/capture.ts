/** Screens in the documents are what a booted box showed: DROVER_CAPTURE=1 makes the console's test retake them. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const project = join(import.meta.dir, "../../..");

/**
 * Puts `screen` into the code block below `<!-- screen: NAME -->` of `document`. Does nothing unless asked to.
 * Throws when the document has no such block.
 */
export function capture(document: string, name: string, screen: string): void {
	if (process.env["DROVER_CAPTURE"] !== "1") return;
	const path = join(project, document);
	const text = readFileSync(path, "utf8");
	const block = new RegExp(`(<!-- screen: ${name} -->\\n\`\`\`\\n)[\\s\\S]*?(\\n\`\`\`\\n)`);
	if (!block.test(text)) throw new Error(`${document} has no block for the screen "${name}"`);
	const lines = screen.replaceAll("\r", "").split("\n");
	const shown = lines.map((line) => line.trimEnd()).join("\n");
	writeFileSync(
		path,
		text.replace(block, (_, before: string, after: string) => before + shown.trim() + after),
	);
}
