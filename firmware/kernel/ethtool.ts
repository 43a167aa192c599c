/** ETHTOOL_PHYS_ID (linux/ethtool.h): a port's light blinks, so that a person finds its socket. */

import { ptr } from "bun:ffi";
import { closeSync } from "node:fs";
import { EOPNOTSUPP, SystemCallError } from "./errno.ts";
import { native } from "./native.ts";

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SIOCETHTOOL = 0x8946;
const ETHTOOL_PHYS_ID = 0x1c;
/** struct ifreq: the name, and in its union a pointer to the command. */
const IFREQ_BYTES = 40;
const IFNAMSIZ = 16;

/** Blocks until the light has blinked for `seconds`. False when the driver has no such light. Throws a SystemCallError. */
export function blinkPort(name: string, seconds: number): boolean {
	const value = new Uint8Array(new Uint32Array([ETHTOOL_PHYS_ID, seconds]).buffer);
	const request = new Uint8Array(IFREQ_BYTES);
	request.set(new TextEncoder().encode(name).subarray(0, IFNAMSIZ - 1));
	new DataView(request.buffer).setBigUint64(IFNAMSIZ, BigInt(ptr(value)), true);
	const fd = native.socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0) throw new SystemCallError("socket", fd);
	try {
		const status = native.ioctl(fd, SIOCETHTOOL, request);
		if (status === -EOPNOTSUPP) return false;
		if (status < 0) throw new SystemCallError(`letting ${name} blink`, status);
		return true;
	} finally {
		closeSync(fd);
	}
}
