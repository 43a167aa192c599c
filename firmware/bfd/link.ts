/** Follows the sessions of `drover bfd` for a service that tracks them. */
import { call, subscribe } from "../bus/client.ts";
import type { BfdEventMessage, BfdStatus } from "../status/bfd.ts";

/** The BFD service may be starting, or starting again. */
const RECONNECT_MS = 200;

export class BfdLink {
	readonly #side: "forVrrp" | "forChecker";
	readonly #listeners = new Map<string, Set<(up: boolean) => void>>();
	readonly #states = new Map<string, boolean>();
	#unsubscribe: () => void = () => {};
	#timer: ReturnType<typeof setTimeout> | null = null;
	#closed = false;

	/** A session that says `vrrp` or `checker` is heard by that side only. Connects when something is watched. */
	constructor(side: "vrrp" | "checker") {
		this.#side = side === "vrrp" ? "forVrrp" : "forChecker";
	}

	/** Calls `listener` with the state, once it is known, and at every change; returns how to stop. */
	watch(name: string, listener: (up: boolean) => void): () => void {
		if (this.#listeners.size === 0) this.#connect();
		const listeners = this.#listeners.get(name) ?? new Set();
		this.#listeners.set(name, listeners.add(listener));
		const known = this.#states.get(name);
		if (known !== undefined) queueMicrotask(() => listeners.has(listener) && listener(known));
		return () => {
			listeners.delete(listener);
			if (listeners.size > 0 || this.#listeners.get(name) !== listeners) return;
			this.#listeners.delete(name);
			if (this.#listeners.size === 0) this.#disconnect();
		};
	}

	close(): void {
		this.#closed = true;
		this.#disconnect();
	}

	#disconnect(): void {
		this.#unsubscribe();
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
		this.#states.clear();
	}

	/** While the service is away the last that it said stands. */
	#connect(): void {
		if (this.#closed) return;
		this.#unsubscribe = subscribe(
			"bfd",
			(event) => {
				const message = event as BfdEventMessage;
				if (message.kind === "session" && message[this.#side]) this.#tell(message.name, message.up);
			},
			() => {
				if (!this.#closed) this.#timer = setTimeout(() => this.#connect(), RECONNECT_MS);
			},
		);
		call<BfdStatus>("bfd", "status").then(
			({ sessions }) => {
				for (const session of sessions) if (session[this.#side]) this.#tell(session.name, session.up);
			},
			() => {},
		);
	}

	#tell(name: string, up: boolean): void {
		if (this.#closed || this.#states.get(name) === up) return;
		this.#states.set(name, up);
		for (const listener of this.#listeners.get(name) ?? []) listener(up);
	}
}
