/** The serial line's speed: one for loader, kernel and menu, kept where the loader finds it. Pure. */
import type { Environment } from "./environment.ts";

export const consoleSpeeds = [9_600, 19_200, 38_400, 57_600, 115_200] as const;
export type ConsoleSpeed = (typeof consoleSpeeds)[number];
export const DEFAULT_CONSOLE_SPEED: ConsoleSpeed = 115_200;
export const CONSOLE_SPEED_VARIABLE = "console_speed";

/** What the loader's memory says; the default when it says nothing of use. */
export function readConsoleSpeed(environment: Environment): ConsoleSpeed {
	return parseConsoleSpeed(environment.get(CONSOLE_SPEED_VARIABLE) ?? "") ?? DEFAULT_CONSOLE_SPEED;
}

/** Null for what is none of them. */
export function parseConsoleSpeed(text: string): ConsoleSpeed | null {
	return consoleSpeeds.find((speed) => String(speed) === text.trim()) ?? null;
}
