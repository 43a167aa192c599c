/** The address that notifications come from: the box's own, never a virtual one. Pure. */
import { inNetwork } from "../../../wire/ip-network.ts";

interface PortAddresses {
	readonly addresses: readonly string[];
	readonly gateways: readonly string[];
}

/**
 * In the receiver's own network if the box has one there, else of the port with the default gateway, else
 * the first of its family; null leaves the choice to the kernel. `ports` as appliance.toml has them.
 */
export function ownAddress(receiver: string, ports: readonly PortAddresses[]): string | null {
	const sameFamily = (address: string) => address.includes(":") === receiver.includes(":");
	const own = (port: PortAddresses) => port.addresses.filter(sameFamily);
	const near = ports.flatMap(own).find((address) => inNetwork(receiver, address));
	const gated = ports.filter(({ gateways }) => gateways.some(sameFamily)).flatMap(own)[0];
	return (near ?? gated ?? ports.flatMap(own)[0])?.split("/")[0] ?? null;
}
