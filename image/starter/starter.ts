/** /usr/bin/drover, compiled. */
import { join } from "node:path";
import { compileFreestanding } from "../freestanding.ts";

/** Where it finds what it starts, and what it asks for the processors that are there. */
export interface StarterPlaces {
	/** With a slash at its end. */
	readonly home: string;
	readonly processors: string;
}

/** Makes it in `directory` and returns its path. Throws with the compiler's messages. */
export function compileStarter(directory: string, places?: StarterPlaces): string {
	const program = join(directory, "drover");
	const definitions =
		places === undefined ? [] : [`-DHOME="${places.home}"`, `-DPROCESSORS="${places.processors}"`];
	compileFreestanding(join(import.meta.dir, "drover.c"), program, [
		...["-static", "-no-pie", "-fno-pie"],
		...definitions,
	]);
	return program;
}
