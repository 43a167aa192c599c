/** vmod vtc: for test programs only. What is about C workspaces has no meaning here and is not offered. */
import { formatProxyHeader } from "../../http/proxy.ts";
import { type IpAddress, VclFailure, type WaitRequest } from "../runtime.ts";
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
		"proxy_header",
		"ENUM {v1, v2} version, IP client, IP server, STRING authority = 0",
		"BLOB",
		(_context, _host, version: "v1" | "v2", client: IpAddress, server: IpAddress, authority: string | null) =>
			Buffer.from(formatProxyHeader(version === "v1" ? 1 : 2, client, server, authority ?? "")).toString(
				"latin1",
			),
	],
	[
		"sleep",
		"DURATION",
		"VOID",
		(_context, _host, durationSeconds: number): WaitRequest => ({ kind: "sleep", durationSeconds }),
		"waits",
	],
]);
