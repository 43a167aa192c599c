/** `drover console speed [BAUD]`: the serial line's speed, now and from the next start on. */
import { LoaderSlots } from "../update/box.ts";
import { consoleSpeeds, parseConsoleSpeed } from "../update/console-speed.ts";
import { print } from "./command-line.ts";

const SERIAL_LINE = "/dev/ttyS0";

/** Exit status 0 when it is set (or shown). */
export async function consoleSpeed(words: readonly string[]): Promise<number> {
	const json = words.includes("--json");
	const [text, ...rest] = words.filter((word) => word !== "--json");
	const wanted = text === undefined ? null : parseConsoleSpeed(text);
	if (rest.length > 0 || (text !== undefined && (wanted === null || json))) {
		console.error(`drover console speed: one of ${consoleSpeeds.join(", ")}`);
		return 2;
	}
	try {
		const loader = new LoaderSlots();
		if (wanted === null) {
			const baud = loader.consoleSpeed();
			print(json, { baud }, () => [`${baud} baud`]);
			return 0;
		}
		loader.setConsoleSpeed(wanted);
		console.log(
			`${SERIAL_LINE} speaks at ${wanted} baud from now on, the loader too. Set your terminal to it.`,
		);
	} catch (error) {
		console.error(`drover console speed: ${error instanceof Error ? error.message : error}`);
		return 1;
	}
	// What was just said goes out at the old speed.
	const { exitCode } = Bun.spawnSync(["sh", "-c", `sleep 1; stty -F ${SERIAL_LINE} ${wanted}`]);
	return exitCode;
}
