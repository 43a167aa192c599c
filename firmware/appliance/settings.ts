/**
 * `appliance.toml`: what the box itself is, as opposed to what it balances. Pure.
 *
 * ```toml
 * hostname = "director-a"
 * dns = ["192.168.80.1"]
 *
 * [[port]]
 * name = "eth0"
 * role = "outside"
 * addresses = ["192.168.80.100/24", "fd00:80::100/64"]
 * gateways = ["192.168.80.1"]
 *
 * [[route]]
 * to = "10.1.0.0/16"
 * via = "10.80.0.1"
 * ```
 */
import { z } from "zod";
import { snmpSchema } from "../status/snmp/settings.ts";
import { parseAddress } from "../wire/ip.ts";

/** Everything in a revision together stays far below this. */
export const SETTINGS_LIMIT_BYTES = 256 * 1024;

const address = z.string().refine((text) => parseAddress(text) !== null, "not an IP address");

const prefix = z.string().refine((text) => {
	const [host = "", length = "", ...rest] = text.split("/");
	const bytes = parseAddress(host);
	if (bytes === null || rest.length > 0 || !/^\d{1,3}$/.test(length)) return false;
	return Number(length) <= bytes.length * 8;
}, "not an address with a prefix length, such as 192.168.80.100/24");

const hostname = z
	.string()
	.max(63)
	.regex(/^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$/, "letters, digits and hyphens (RFC 1123 §2.1)");

/** IFNAMSIZ is 16 with the closing zero. */
const portName = z.string().regex(/^[^\s/:]{1,15}$/, "not an interface name");

const port = z.strictObject({
	name: portName,
	role: z.enum(["outside", "inside"]),
	addresses: z.array(prefix).max(64).default([]),
	gateways: z.array(address).max(2).default([]),
	mtu: z.int().min(576).max(9216).optional(),
});

const route = z.strictObject({ to: prefix, via: address });

export const applianceSchema = z.strictObject({
	hostname: hostname.default("drover"),
	dns: z.array(address).max(3).default([]),
	port: z.array(port).max(64).default([]),
	route: z.array(route).max(1024).default([]),
	snmp: snmpSchema.prefault({}),
});

export type ApplianceSettings = z.output<typeof applianceSchema>;

/** Throws an Error in the operator's words: what is wrong, and where in the file. */
export function parseSettings(text: string): ApplianceSettings {
	if (text.length > SETTINGS_LIMIT_BYTES) throw new Error(`longer than ${SETTINGS_LIMIT_BYTES} bytes`);
	let document: unknown;
	try {
		document = Bun.TOML.parse(text);
	} catch (error) {
		throw new Error(`not TOML: ${error instanceof Error ? error.message : String(error)}`);
	}
	const result = applianceSchema.safeParse(document);
	if (!result.success) throw new Error(z.prettifyError(result.error));
	return result.data;
}
