/** The addresses of this host, as the kernel has them, for `ha_suspend`. */
import { RouteMonitor, RouteNetlink } from "../kernel/rtnetlink.ts";

/** An address that VRRP moves takes several messages; they are looked at together. */
const SETTLE_MS = 20;

/** Calls back with all addresses now and whenever one comes or goes; returns how to stop. Throws a SystemCallError. */
export function watchLocalAddresses(
	onChange: (addresses: ReadonlySet<string>) => void,
	receiveBufferBytes = 0,
): () => void {
	const kernel = RouteNetlink.open();
	const tell = () => onChange(new Set(kernel.addresses().map(({ address }) => address)));
	let timer: ReturnType<typeof setTimeout> | null = null;
	const later = () => {
		timer ??= setTimeout(() => {
			timer = null;
			tell();
		}, SETTLE_MS);
	};
	const monitor = RouteMonitor.open(["address"], later, later, receiveBufferBytes);
	tell();
	return () => {
		if (timer !== null) clearTimeout(timer);
		monitor.close();
		kernel.close();
	};
}
