/** What the two directors say of themselves, asked over the lab's inside segment. */
import { call, subscribe } from "../../firmware/bus/client.ts";
import type { DirectorEvent, DirectorStatus } from "../../firmware/status/director.ts";
import type { VrrpEvent, VrrpStatus } from "../../firmware/status/vrrp.ts";
import type { DirectorName, Lab } from "./lab.ts";

const POLL_MS = 1_000;
const POLL_TIMEOUT_MS = 1_500;
/** After a service went away, until it is asked for its events again. */
const RESUBSCRIBE_MS = 1_000;

export interface DirectorView {
	readonly vrrp: VrrpStatus | null;
	readonly director: DirectorStatus | null;
}

export class DirectorWatch {
	readonly #lab: Lab;
	readonly #views: Record<DirectorName, DirectorView> = {
		a: { vrrp: null, director: null },
		b: { vrrp: null, director: null },
	};
	readonly #onEvent: (director: DirectorName, text: string) => void;
	readonly #unsubscribe = new Map<string, () => void>();
	#stopped = false;

	constructor(lab: Lab, onEvent: (director: DirectorName, text: string) => void) {
		this.#lab = lab;
		this.#onEvent = onEvent;
		process.env["DROVER_RUN_DIR"] = lab.directory;
		for (const name of ["a", "b"] as const) {
			void this.#poll(name);
			this.#subscribe(name, "vrrp", (event) => vrrpEventText(event as VrrpEvent));
			this.#subscribe(name, "director", (event) => directorEventText(event as DirectorEvent));
		}
	}

	view(name: DirectorName): DirectorView {
		return this.#views[name];
	}

	/** The director that says it is master of the first instance; null when none does. */
	master(): DirectorName | null {
		const isMaster = (name: DirectorName) => this.#views[name].vrrp?.instances[0]?.state === "MASTER";
		return isMaster("a") ? "a" : isMaster("b") ? "b" : null;
	}

	stop(): void {
		this.#stopped = true;
		for (const unsubscribe of this.#unsubscribe.values()) unsubscribe();
	}

	async #poll(name: DirectorName): Promise<void> {
		while (!this.#stopped) {
			const ask = <Status>(service: "vrrp" | "director") =>
				call<Status>(this.#lab.service(name, service), "status", {}, POLL_TIMEOUT_MS).catch(() => null);
			const [vrrp, director] = await Promise.all([ask<VrrpStatus>("vrrp"), ask<DirectorStatus>("director")]);
			this.#views[name] = { vrrp, director };
			await Bun.sleep(POLL_MS);
		}
	}

	#subscribe(
		name: DirectorName,
		service: "vrrp" | "director",
		text: (event: unknown) => string | null,
	): void {
		if (this.#stopped) return;
		const key = `${name}/${service}`;
		const unsubscribe = subscribe(
			this.#lab.service(name, service),
			(event) => {
				const line = text(event);
				if (line !== null) this.#onEvent(name, line);
			},
			() => setTimeout(() => this.#subscribe(name, service, text), RESUBSCRIBE_MS),
		);
		this.#unsubscribe.set(key, unsubscribe);
	}
}

function vrrpEventText(event: VrrpEvent): string | null {
	if (event.kind !== "transition") return null;
	return `${event.instance} ${event.from} -> ${event.to}: ${event.reason}`;
}

function directorEventText(event: DirectorEvent): string | null {
	switch (event.kind) {
		case "real-server":
			return `real server ${event.realServer} is ${event.up ? "in" : "out"}: ${event.reason}`;
		case "quorum":
			return `${event.virtualServer} ${event.up ? "has" : "lost"} its quorum: ${event.reason}`;
		case "drift":
			return `${event.virtualServer} was changed by someone else: ${event.reason}`;
		default:
			return null;
	}
}
