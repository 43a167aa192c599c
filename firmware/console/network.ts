/** `drover network [apply]`. Applying is a step of the box's start: it loads nothing that only faces need. */
export async function main(words: readonly string[]): Promise<number> {
	const [action, ...rest] = words;
	if (action === "apply") return (await import("../appliance/network.ts")).main(rest);
	return (await import("./network-face.ts")).main(words);
}
