/**
 * Idle connections to one address, the latest first. All backends that ask for the same thing in the same way share
 * them, in whatever program they are: a new VCL goes on with the connections of the one before.
 */
import type { BackendDefinition } from "../vcl/runtime.ts";

/** Idle connections kept per address. */
const IDLE_LIMIT = 128;

/** Where a connection goes and what it began with. */
function identity({ endpoint, preamble }: BackendDefinition): string {
	const address =
		endpoint.kind === "tcp"
			? [endpoint.addresses[0] ?? endpoint.host, endpoint.port]
			: endpoint.kind === "unix"
				? [endpoint.path]
				: [];
	return JSON.stringify([endpoint.kind, ...address, preamble]);
}

interface IdleConnection {
	readonly closed: boolean;
	/** Unix seconds. */
	readonly idleSince: number;
	close(): void;
}

export class IdlePool<C extends IdleConnection> {
	readonly key: string;
	readonly #idle: C[] = [];
	/** Backends that use it. */
	users = 0;

	constructor(key: string) {
		this.key = key;
	}

	/** The one that was used last; undefined when there is none. */
	take(): C | undefined {
		for (;;) {
			const connection = this.#idle.pop();
			if (connection?.closed !== true) return connection;
		}
	}

	/** False when there are enough of them, or nobody is left to use one. */
	put(connection: C): boolean {
		if (this.users === 0 || this.#idle.length >= IDLE_LIMIT) return false;
		this.#idle.push(connection);
		return true;
	}

	forget(connection: C): void {
		const index = this.#idle.indexOf(connection);
		if (index >= 0) this.#idle.splice(index, 1);
	}

	/** Closes connections idle since before `beforeSeconds`. */
	closeIdle(beforeSeconds: number): void {
		for (const connection of this.#idle.slice())
			if (connection.idleSince < beforeSeconds) {
				this.forget(connection);
				connection.close();
			}
	}
}

/** The pools of one worker: as many as its backends have addresses. */
export class IdlePools<C extends IdleConnection> {
	readonly #pools = new Map<string, IdlePool<C>>();
	#made = 0;

	/**
	 * The pool of that backend's address, which has to be released. One with TLS has its own: what a certificate was
	 * judged by is read anew with each program.
	 */
	use(definition: BackendDefinition): IdlePool<C> {
		const key = definition.tls === null ? identity(definition) : `TLS ${this.#made++}`;
		const pool = this.#pools.get(key) ?? new IdlePool<C>(key);
		this.#pools.set(key, pool);
		pool.users++;
		return pool;
	}

	/** A backend is gone: with the last one of an address its idle connections go, too. */
	release(pool: IdlePool<C>): void {
		if (--pool.users > 0) return;
		this.#pools.delete(pool.key);
		pool.closeIdle(Number.POSITIVE_INFINITY);
	}

	/** Closes connections idle since before `beforeSeconds`. */
	closeIdle(beforeSeconds: number): void {
		for (const pool of this.#pools.values()) pool.closeIdle(beforeSeconds);
	}
}
