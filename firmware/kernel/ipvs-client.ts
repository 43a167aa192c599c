/** The kernel's IPVS table over generic netlink: read it, change it in batches, run its synchronisation daemons. */
import {
	endpointText,
	type IpvsDaemon,
	type IpvsDestinationState,
	type IpvsInfo,
	type IpvsOperation,
	type IpvsServiceKey,
	type IpvsServiceState,
	type IpvsTimeouts,
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
	putOperation,
	type ReadOptions,
	readDaemon,
	readDestination,
	readInfo,
	readService,
	readTimeouts,
	type WrittenDestination,
} from "./ipvs.ts";
import type { NetlinkError, NetlinkSocketOptions } from "./netlink.ts";
import { RequestBatch } from "./netlink-batch.ts";

/** A change that the kernel refused. */
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
	 * Makes one batch of changes, from `start` on, and adds those that the kernel refused to `failures`; the others
	 * are done all the same. Returns how many were handled. Throws a SystemCallError when the socket fails.
	 */
	applySome(operations: readonly IpvsOperation[], start: number, failures: OperationFailure[]): number {
		const batch = this.#batch;
		batch.clear();
		let written: WrittenDestination | null = null;
		let end = start;
		while (end < operations.length && !batch.isFull) {
			const operation = operations[end++]!;
			this.#netlink.begin(batch, commandOf(operation));
			written = putOperation(batch, operation, written);
			batch.end();
		}
		this.#netlink.requestBatch(batch, "change of the IPVS table", (index, error) =>
			failures.push(failureOf(operations[start + index]!, error)),
		);
		return end - start;
	}

	/** Makes all changes; see `applySome`. */
	apply(operations: readonly IpvsOperation[]): readonly OperationFailure[] {
		const failures: OperationFailure[] = [];
		for (let done = 0; done < operations.length; ) done += this.applySome(operations, done, failures);
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
