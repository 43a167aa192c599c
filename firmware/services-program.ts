/**
 * `drover vrrp` and `drover director` as a program of their own: a starting box waits for these two, so the image has
 * them in Bun's executable, compiled ahead (image/services-executable.ts). Takes the words that `drover` takes, the name first; or
 * `rehearse FILE`, which loads what either of them loads, reads the configuration in FILE as they do, and ends.
 */
import { isSetUp, runProgram } from "./appliance/after-set-up.ts";

if (import.meta.main) {
	const [name, ...words] = process.argv.slice(2);
	if (name === "rehearse") void rehearse(words[0]!);
	else {
		const loading = name === "vrrp" ? import("./vrrp/main.ts") : import("./director/service.ts");
		void loading.then(({ main }) => runProgram(words, main));
	}
}

/** The initramfs has it done while others wait for disks: what it touched is in memory when the services start. */
async function rehearse(file: string): Promise<void> {
	// The two have caught it up: it would only take processors from them.
	if (isSetUp()) return;
	await Promise.all([import("./vrrp/main.ts"), import("./director/service.ts")]);
	const { loadConfig } = await import("./config/keepalived/load.ts");
	loadConfig(file);
}
