/** What is known of the world around the routers: interfaces, scripts, processes, files, sessions. Pure. */
import type { DroverConfig } from "../config/model.ts";
import { named } from "../named.ts";
import { type Debounced, report, ripen, type ScriptReading, undecided } from "./tracking.ts";

/** What the kernel says of an interface. */
export interface InterfaceReading {
	readonly name: string;
	readonly index: number;
	/** IFF_UP and IFF_RUNNING. */
	readonly up: boolean;
	/** In the kernel's order, both families, canonical text. */
	readonly addresses: readonly string[];
}

/** How many processes of a kind run, and since when that is enough of them. */
export interface ProcessReading {
	readonly count: number;
	readonly enough: Debounced;
}

export interface Readings {
	readonly interfaces: Readonly<Record<string, InterfaceReading & { readonly link: Debounced }>>;
	readonly scripts: Readonly<Record<string, ScriptReading>>;
	readonly processes: Readonly<Record<string, ProcessReading>>;
	readonly files: Readonly<Record<string, number>>;
	readonly bfd: Readonly<Record<string, boolean>>;
	/** Routers whose virtual interface cannot be had, by key: why. */
	readonly virtualInterfaces: Readonly<Record<string, string>>;
}

/** What tracked objects say without having to be asked first, by name: values of files, numbers of processes. */
export interface Tracked {
	readonly files: Readonly<Record<string, number>>;
	readonly processes: Readonly<Record<string, number>>;
}

/** With what the kernel says of one interface now, after the configured delay. */
export function withInterface(
	readings: Readings,
	reading: InterfaceReading,
	config: DroverConfig,
	atMicros: number,
): Readings {
	const delays = config.interfaceDelays.find((delay) => delay.interface === reading.name);
	const delayMs = delays === undefined ? 0 : reading.up ? delays.upMs : delays.downMs;
	const before = named(readings.interfaces, reading.name);
	const link = report(before?.link ?? undecided, reading.up, delayMs * 1000, atMicros);
	return { ...readings, interfaces: { ...readings.interfaces, [reading.name]: { ...reading, link } } };
}

/** With what has been so for long enough by `atMicros`. */
export function ripened(readings: Readings, atMicros: number): Readings {
	return {
		...readings,
		processes: Object.fromEntries(
			Object.entries(readings.processes).map(([name, { count, enough }]) => [
				name,
				{ count, enough: ripen(enough, atMicros) },
			]),
		),
		interfaces: Object.fromEntries(
			Object.entries(readings.interfaces).map(([name, reading]) => [
				name,
				reading.link.candidate === null ? reading : { ...reading, link: ripen(reading.link, atMicros) },
			]),
		),
	};
}
