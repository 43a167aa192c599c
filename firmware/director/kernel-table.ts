/**
 * The kernel's IPVS table as the director sees it: what it believes to be there, how to read it
 * anew, and how to change it. Everything is done in slices, so that checks and signals are served in between.
 */
import type { IpvsClient, OperationFailure } from "../kernel/ipvs-client.ts";
import {
	type IpvsDestination,
	type IpvsEntry,
	type IpvsOperation,
	type IpvsServiceKey,
	serviceKeyText,
} from "../wire/ipvs.ts";
import type { IpvsStateEntry } from "./ipvs-text.ts";

/** The event loop is given a turn after this long. */
const SLICE_MS = 5;

export class KernelTable {
	readonly client: IpvsClient;
	/** Entries that were as wanted after the last change or look, by `serviceKeyText`. */
	readonly believed = new Map<string, IpvsEntry>();

	constructor(client: IpvsClient) {
		this.client = client;
	}

	/**
	 * The table as it is now. Destinations are read for services that `wanted` names;
	 * others appear without any. Throws a SystemCallError.
	 */
	async read(wanted: { has(key: string): boolean }): Promise<Map<string, IpvsEntry>> {
		const table = new Map<string, IpvsEntry>();
		const slices = new Slices();
		for (const service of this.client.services({ stats: false })) {
			const key = serviceKeyText(service.key);
			let destinations: readonly IpvsDestination[] = [];
			if (wanted.has(key)) {
				destinations = this.client.destinations(service.key, { stats: false });
				if (slices.isOver()) await slices.next();
			}
			table.set(key, { service, destinations });
		}
		return table;
	}

	/** The services named by `keys` with their counters; one that the kernel does not have is left out. */
	async readState(keys: Iterable<IpvsServiceKey>): Promise<Map<string, IpvsStateEntry>> {
		const services = new Map(
			this.client.services({ stats: true }).map((service) => [serviceKeyText(service.key), service]),
		);
		const table = new Map<string, IpvsStateEntry>();
		const slices = new Slices();
		for (const key of keys) {
			const service = services.get(serviceKeyText(key));
			if (service === undefined) continue;
			table.set(serviceKeyText(key), {
				service,
				destinations: this.client.destinations(key, { stats: true }),
			});
			if (slices.isOver()) await slices.next();
		}
		return table;
	}

	/** Makes the changes in order and tells which of them the kernel refused. Throws when the socket fails. */
	async apply(operations: readonly IpvsOperation[]): Promise<readonly OperationFailure[]> {
		const failures: OperationFailure[] = [];
		const slices = new Slices();
		const progress = { operation: 0, row: 0 };
		while (progress.operation < operations.length) {
			this.client.applySome(operations, progress, failures);
			if (slices.isOver() && progress.operation < operations.length) await slices.next();
		}
		return failures;
	}
}

/** Divides long work: `if (slices.isOver()) await slices.next()`. */
class Slices {
	#endsAtMs = performance.now() + SLICE_MS;

	isOver(): boolean {
		return performance.now() >= this.#endsAtMs;
	}

	async next(): Promise<void> {
		await new Promise<void>((resolve) => setImmediate(resolve));
		this.#endsAtMs = performance.now() + SLICE_MS;
	}
}
