/** The kernel's IPVS table over generic netlink: read it, change it in batches, run its synchronisation daemons. */
import {
	endpointText,
	type IpvsDaemon,
	type IpvsDestination,
	type IpvsDestinationOperation,
	type IpvsDestinationState,
	type IpvsInfo,
	type IpvsOperation,
	type IpvsServiceKey,
	type IpvsServiceState,
	type IpvsTimeouts,
	requestCount,
} from "../wire/ipvs.ts";
import { EEXIST, ENOENT, ESRCH, errnoName } from "./errno.ts";
import { GenericNetlink } from "./genetlink.ts";
import {
	addDaemon,
	addDaemonState,
	addServiceKey,
	addTimeouts,
	commandOf,
	IPVS_FAMILY,
	IPVS_VERSION,
	ipvsCommand,
	putDestinationChange,
	putServiceChange,
	type ReadOptions,
	readDaemon,
	readDestination,
	readInfo,
	readService,
	readTimeouts,
	repeatDestinationChange,
	type WrittenDestination,
} from "./ipvs.ts";
import type { NetlinkError, NetlinkSocketOptions } from "./netlink.ts";
import { RequestBatch } from "./netlink-batch.ts";

/** How far a list of operations is done: the next one, and how many of its requests were made. */
export interface Progress {
	operation: number;
	row: number;
}

/** A change that the kernel refused: of a new service the service alone, or one of its destinations as one that is new. */
export interface OperationFailure {
	readonly operation: IpvsOperation;
	readonly errno: number;
	/** In the operator's words. */
	readonly reason: string;
}

export class IpvsClient {
	readonly info: IpvsInfo;
	readonly #netlink: GenericNetlink;
	readonly #batch = new RequestBatch();

	private constructor(netlink: GenericNetlink, info: IpvsInfo) {
		this.#netlink = netlink;
		this.info = info;
	}

	/** Opens the table of the current network namespace. Throws NoSuchFamily when the kernel has no IPVS. */
	static open(options: NetlinkSocketOptions = {}): IpvsClient {
		const netlink = GenericNetlink.open(IPVS_FAMILY, IPVS_VERSION, options);
		try {
			const [payload] = netlink.request(netlink.message(ipvsCommand.getInfo), "IPVS information");
			return new IpvsClient(netlink, readInfo(payload ?? new Uint8Array(0)));
		} catch (error) {
			netlink.close();
			throw error;
		}
	}

	/** Every service, in the kernel's order. Throws a NetlinkError. */
	services(options: ReadOptions = { stats: true }): IpvsServiceState[] {
		const payloads = this.#netlink.dump(
			this.#netlink.message(ipvsCommand.getService),
			"list of IPVS services",
		);
		return payloads.map((payload) => readService(payload, options)).filter((service) => service !== null);
	}

	/** The destinations of one service, in the kernel's order; none when there is no such service. */
	destinations(key: IpvsServiceKey, options: ReadOptions = { stats: true }): IpvsDestinationState[] {
		const message = addServiceKey(this.#netlink.message(ipvsCommand.getDestination), key);
		return this.#netlink
			.dump(message, "list of IPVS destinations")
			.map((payload) => readDestination(payload, key.family, options))
			.filter((destination) => destination !== null);
	}

	/**
	 * Makes one batch of changes, goes on behind them in `progress`, and adds those that the kernel refused to
	 * `failures`; the others are done all the same. Throws a SystemCallError when the socket fails.
	 */
	applySome(operations: readonly IpvsOperation[], progress: Progress, failures: OperationFailure[]): void {
		const batch = this.#batch;
		batch.clear();
		const from = { ...progress };
		let written: WrittenDestination | null = null;
		while (progress.operation < operations.length && !batch.isFull) {
			const operation = operations[progress.operation]!;
			if ("destination" in operation) {
				const { kind, key, destination } = operation;
				written = this.#putDestination(kind, key, destination, written);
			} else if (operation.kind === "new-service" && progress.row > 0) {
				const { service, destinations } = operation;
				written = this.#putDestination(
					"new-destination",
					service.key,
					destinations[progress.row - 1]!,
					written,
				);
			} else {
				this.#netlink.begin(batch, commandOf(operation.kind));
				putServiceChange(batch, operation);
				batch.end();
				written = null;
			}
			if (++progress.row < requestCount(operation)) continue;
			progress.operation++;
			progress.row = 0;
		}
		this.#netlink.requestBatch(batch, "change of the IPVS table", (index, error) =>
			failures.push(failureOf(requestAt(operations, from, index), error)),
		);
	}

	/** One message of the batch; returns the destination to compare the next one with. */
	#putDestination(
		kind: IpvsDestinationOperation["kind"],
		key: IpvsServiceKey,
		destination: IpvsDestination,
		before: WrittenDestination | null,
	): WrittenDestination {
		const batch = this.#batch;
		if (before !== null && repeatDestinationChange(batch, kind, key, destination, before)) return before;
		this.#netlink.begin(batch, commandOf(kind));
		const written = putDestinationChange(batch, kind, key, destination, before);
		batch.end();
		return written;
	}

	/** Makes all changes; see `applySome`. */
	apply(operations: readonly IpvsOperation[]): readonly OperationFailure[] {
		const failures: OperationFailure[] = [];
		const progress = { operation: 0, row: 0 };
		while (progress.operation < operations.length) this.applySome(operations, progress, failures);
		return failures;
	}

	/** Removes every service, whoever's it is. */
	flush(): void {
		this.#netlink.request(this.#netlink.message(ipvsCommand.flush), "flush of the IPVS table");
	}

	/** Sets all counters to zero. */
	zero(): void {
		this.#netlink.request(this.#netlink.message(ipvsCommand.zero), "zeroing of the IPVS counters");
	}

	timeouts(): IpvsTimeouts {
		const [payload] = this.#netlink.request(this.#netlink.message(ipvsCommand.getConfig), "IPVS timeouts");
		return readTimeouts(payload ?? new Uint8Array(0));
	}

	setTimeouts(timeouts: IpvsTimeouts): void {
		this.#netlink.request(
			addTimeouts(this.#netlink.message(ipvsCommand.setConfig), timeouts),
			"setting of the IPVS timeouts",
		);
	}

	/** The synchronisation daemons that run. */
	daemons(): IpvsDaemon[] {
		return this.#netlink
			.dump(this.#netlink.message(ipvsCommand.getDaemon), "list of IPVS synchronisation daemons")
			.map(readDaemon)
			.filter((daemon) => daemon !== null);
	}

	startDaemon(daemon: IpvsDaemon): void {
		this.#netlink.request(
			addDaemon(this.#netlink.message(ipvsCommand.newDaemon), daemon),
			`start of the IPVS ${daemon.state} synchronisation on ${daemon.interface}`,
		);
	}

	stopDaemon(state: IpvsDaemon["state"]): void {
		this.#netlink.request(
			addDaemonState(this.#netlink.message(ipvsCommand.deleteDaemon), state),
			`stop of the IPVS ${state} synchronisation`,
		);
	}

	close(): void {
		this.#netlink.close();
	}
}

/** What the request `index` behind `from` was about. */
function requestAt(operations: readonly IpvsOperation[], from: Progress, index: number): IpvsOperation {
	let row = from.row + index;
	for (let at = from.operation; ; at++) {
		const operation = operations[at]!;
		const count = requestCount(operation);
		if (row >= count) row -= count;
		else if (operation.kind !== "new-service") return operation;
		else {
			const { service, destinations } = operation;
			return row === 0
				? { kind: "new-service", service, destinations: [] }
				: { kind: "new-destination", key: service.key, destination: destinations[row - 1]! };
		}
	}
}

function failureOf(operation: IpvsOperation, { errno, text }: NetlinkError): OperationFailure {
	return { operation, errno, reason: `${what(operation)}: ${text ?? why(operation, errno)}` };
}

function what(operation: IpvsOperation): string {
	const key = "service" in operation ? operation.service.key : operation.key;
	const service = key.kind === "fwmark" ? `fwmark ${key.fwmark}` : `${key.protocol} ${endpointText(key)}`;
	const verb = { new: "add", set: "change", delete: "remove" }[
		operation.kind.slice(0, operation.kind.indexOf("-")) as "new" | "set" | "delete"
	];
	return "destination" in operation
		? `cannot ${verb} real server ${endpointText(operation.destination)} of ${service}`
		: `cannot ${verb} ${service}`;
}

/** The errors of ip_vs_ctl.c in words. */
function why(operation: IpvsOperation, errno: number): string {
	if (errno === ENOENT && "service" in operation)
		return `the kernel has no scheduler "${operation.service.scheduler}"${
			operation.service.persistenceEngine === null
				? ""
				: ` or no persistence engine "${operation.service.persistenceEngine}"`
		}`;
	if (errno === EEXIST) return "it is there already";
	if (errno === ESRCH || errno === ENOENT) return "it is not there";
	return errnoName(errno);
}
