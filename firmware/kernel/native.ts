/** The shim, seen from the firmware. Nothing above `kernel/` imports it. */
export { type Native, native, type Poller } from "../../native/index.ts";
