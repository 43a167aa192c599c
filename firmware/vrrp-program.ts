/**
 * `drover vrrp` as a program of its own. A starting box waits for nothing else, so the image has it in one file,
 * compiled ahead (image/firmware-bundle.ts). Takes the words that `drover` takes.
 */
import { main } from "./vrrp/main.ts";

if (import.meta.main) {
	const words = process.argv.slice(2);
	void main(words[0] === "vrrp" ? words.slice(1) : words).then((status) => {
		process.exitCode = status;
	});
}
