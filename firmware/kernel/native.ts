/** The shim, seen from the firmware. Nothing above `kernel/` imports it. */
export {
	type Native,
	type NativeDatagram,
	native,
	type Poller,
	type RealTimeThread,
	type StreamSet as NativeStreamSet,
} from "../../native/index.ts";
