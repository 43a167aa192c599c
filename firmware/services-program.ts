/**
 * `drover vrrp` and `drover director` as a program of their own: a starting box waits for these two, so the image has
 * them in one file, compiled ahead (image/firmware-bundle.ts). Takes the words that `drover` takes, the name first.
 */
import { runProgram } from "./appliance/after-set-up.ts";

if (import.meta.main) {
	const [name, ...words] = process.argv.slice(2);
	const loading = name === "vrrp" ? import("./vrrp/main.ts") : import("./director/service.ts");
	void loading.then(({ main }) => runProgram(words, main));
}
