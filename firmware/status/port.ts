/** A network port as the box shows it. */
export interface Port {
	readonly name: string;
	readonly macAddress: string;
	/** Set up by the administrator (IFF_UP). */
	readonly enabled: boolean;
	/** The cable carries a signal. */
	readonly carrier: boolean;
	/** Null when the driver does not know. */
	readonly speedMegabits: number | null;
	/** With prefix length; the box's own and the virtual ones that it holds now. Link-local ones are left out. */
	readonly addresses: readonly string[];
}
