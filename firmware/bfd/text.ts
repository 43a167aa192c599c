/** The sessions as text. Pure. */
import { duration } from "../console/quantity.ts";
import type { BfdStatus } from "../status/bfd.ts";

export function bfdText({ sessions }: BfdStatus, nowMs: number): string {
	if (sessions.length === 0) return "no BFD session is configured";
	const width = Math.max(...sessions.map(({ name }) => name.length));
	return sessions
		.map(({ name, state, neighbor, sinceMs, reason, transmitIntervalMs, detectionTimeMs }) => {
			const head = `${name.padEnd(width)}  ${state} with ${neighbor} for ${duration((nowMs - sinceMs) / 1000)}: ${reason}`;
			const detection = detectionTimeMs === 0 ? "" : `, down after ${detectionTimeMs} ms of silence`;
			return `${head}\n${" ".repeat(width)}  sends every ${transmitIntervalMs} ms${detection}`;
		})
		.join("\n");
}
