/** The VRRP state that the IPVS synchronisation daemon follows, asked of the VRRP service and kept up to date. */
import { call, subscribe } from "../bus/client.ts";
import type { VrrpEvent, VrrpStateName, VrrpStatus } from "../status/vrrp.ts";

/** The VRRP service may be restarting. */
const RECONNECT_MS = 1_000;

export class VrrpLink {
	readonly #instance: string;
	readonly #onState: (state: VrrpStateName) => void;
	#unsubscribe: () => void = () => {};
	#timer: ReturnType<typeof setTimeout> | null = null;
	#closed = false;

	/** `onState` hears the state of `instance` now and at every change; "FAULT" while the service is away for long. */
	constructor(instance: string, onState: (state: VrrpStateName) => void) {
		this.#instance = instance;
		this.#onState = onState;
		this.#connect(0);
	}

	close(): void {
		this.#closed = true;
		this.#unsubscribe();
		if (this.#timer !== null) clearTimeout(this.#timer);
	}

	#connect(failures: number): void {
		if (this.#closed) return;
		const again = () => {
			if (this.#closed) return;
			// A service that is restarted at once keeps its state; one that stays away is master of nothing.
			if (failures >= 3) this.#onState("FAULT");
			this.#timer = setTimeout(() => this.#connect(failures + 1), RECONNECT_MS);
		};
		this.#unsubscribe = subscribe("vrrp", (event) => this.#onEvent(event as VrrpEvent), again);
		call<VrrpStatus>("vrrp", "status").then(
			(status) => {
				const found = status.instances.find(({ name }) => name === this.#instance);
				if (!this.#closed && found !== undefined) this.#onState(found.state);
				failures = 0;
			},
			() => {},
		);
	}

	#onEvent(event: VrrpEvent): void {
		if (!this.#closed && event.kind === "transition" && event.instance === this.#instance)
			this.#onState(event.to);
	}
}
