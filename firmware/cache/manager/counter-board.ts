/** The counters that varnishstat and its like read from the shared memory while the workers run. */
import { backendCounters, mainCounters, poolCounters, storageCounters } from "../log/counters.ts";
import type { VsmDirectory } from "../log/vsm.ts";
import type { StoreFigures } from "../store/arena.ts";
import type { WorkerReport } from "../worker/wire.ts";

/** The workers' figures of a backend in the order of VBE's counters; the first of those is the probe's bits. */
const BACKEND_FIGURES = [
	"bereqHeader",
	"bereqBody",
	"berespHeader",
	"berespBody",
	"pipeHeader",
	"pipeOut",
	"pipeIn",
	"conn",
	"req",
	"unhealthy",
	"busy",
	"fail",
	"failAccess",
	"failNoAddress",
	"failRefused",
	"failUnreachable",
	"failTimeout",
	"failOther",
	"helddown",
];

/** A storage's figures in the order of SMA's counters. */
const STORAGE_FIGURES = [
	"requests",
	"failures",
	"bytesTaken",
	"bytesFreed",
	"objects",
	"bytes",
	"spaceBytes",
] as const;

export interface CounterSources {
	/** By the counter's name. */
	readonly main: ReadonlyMap<string, number>;
	readonly store: StoreFigures | undefined;
	readonly reports: readonly WorkerReport[];
	/** The last 64 probes of a backend, "vcl.backend"; undefined without a probe. */
	probeBits(key: string): bigint | undefined;
}

interface Named {
	readonly name: string;
	readonly values: BigUint64Array;
}

export class CounterBoard {
	readonly #directory: VsmDirectory;
	readonly #main: BigUint64Array;
	/** By number. */
	readonly #storages: readonly BigUint64Array[];
	readonly #pools: readonly Named[];
	readonly #backends = new Map<string, { readonly values: BigUint64Array; readonly file: string }>();

	constructor(directory: VsmDirectory, storages: readonly string[]) {
		this.#directory = directory;
		this.#main = directory.addCounters(mainCounters, "MAIN").values;
		this.#storages = storages.map((name) => directory.addCounters(storageCounters, `SMA.${name}`).values);
		this.#pools = ["busyobj", "req0", "sess0"].map((name) => ({
			name,
			values: directory.addCounters(poolCounters, `MEMPOOL.${name}`).values,
		}));
	}

	/** Of "vcl.backend". */
	addBackend(key: string): void {
		if (!this.#backends.has(key))
			this.#backends.set(key, this.#directory.addCounters(backendCounters, `VBE.${key}`));
	}

	withdrawBackend(key: string): void {
		const counters = this.#backends.get(key);
		if (counters === undefined) return;
		this.#directory.withdraw(counters.file);
		this.#backends.delete(key);
	}

	update({ main, store, reports, probeBits }: CounterSources): void {
		for (const [index, { name }] of mainCounters.counters.entries())
			this.#main[index] = whole(main.get(name) ?? 0);
		if (store !== undefined)
			for (const [index, values] of this.#storages.entries())
				for (const [place, figure] of STORAGE_FIGURES.entries())
					values[place] = whole(store.storages[index]?.[figure] ?? 0);
		const sum = (figure: (report: WorkerReport) => number) =>
			reports.reduce((total, report) => total + figure(report), 0);
		const live: Readonly<Record<string, number>> = {
			sess0: sum(({ sessions }) => sessions),
			req0: sum(({ busy }) => Object.values(busy).reduce((a, b) => a + b, 0)),
		};
		for (const { name, values } of this.#pools) values[0] = whole(live[name] ?? 0);
		for (const [key, { values }] of this.#backends) {
			values[0] = probeBits(key) ?? 0n;
			for (const [index, figure] of BACKEND_FIGURES.entries())
				values[index + 1] = whole(sum(({ backends }) => backends[key]?.[figure] ?? 0));
		}
	}
}

const whole = (value: number) => BigInt(Math.max(0, Math.round(value)));
