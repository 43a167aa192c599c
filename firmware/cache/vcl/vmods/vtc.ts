/** vmod vtc: for test programs only. What is about C workspaces has no meaning here and is not offered. */
import { VclFailure, type WaitRequest } from "../runtime.ts";
import { vmod } from "./vmod.ts";

/** An address that is none: whoever looks at it fails. */
const noIp = {
	get text(): string {
		throw new VclFailure("VRT_IP_string: Illegal IP");
	},
	get bytes(): Uint8Array {
		throw new VclFailure("VRT_ipcmp: Illegal IP");
	},
	port: 0,
};

export const vtc = vmod("vtc", [
	[
		"barrier_sync",
		"STRING addr, DURATION timeout = 0",
		"VOID",
		(_context, _host, address: string | null, timeoutSeconds: number): WaitRequest => {
			if (address === null || address === "") throw new VclFailure("barrier_sync: no address");
			return { kind: "barrier", address, timeoutSeconds };
		},
		"waits",
	],
	["no_backend", "", "BACKEND", () => null],
	["no_stevedore", "", "STEVEDORE", () => null],
	["no_ip", "", "IP", () => noIp],
	[
		"sleep",
		"DURATION",
		"VOID",
		(_context, _host, durationSeconds: number): WaitRequest => ({ kind: "sleep", durationSeconds }),
		"waits",
	],
]);
