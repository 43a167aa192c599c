/** The `[snmp]` section of appliance.toml. Off until it is set; nobody may ask until sources are named. */
import { z } from "zod";
import { parseAddress } from "../../wire/ip.ts";

const address = z.string().refine((text) => parseAddress(text) !== null, "not an IP address");

const network = z.string().refine((text) => {
	const [base = "", length, ...rest] = text.split("/");
	const bytes = parseAddress(base);
	if (bytes === null || rest.length > 0) return false;
	return length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= bytes.length * 8);
}, "not an address or network, such as 192.168.80.0/24");

const user = z.strictObject({
	name: z.string().min(1).max(32),
	auth: z.enum(["sha256", "sha"]).default("sha256"),
	/** RFC 3414 §11.2: at least eight characters. */
	auth_password: z.string().min(8).max(255),
	privacy: z.enum(["aes", "aes256"]).default("aes"),
	privacy_password: z.string().min(8).max(255),
});

export const snmpSchema = z.strictObject({
	enabled: z.boolean().default(false),
	location: z.string().max(255).default(""),
	contact: z.string().max(255).default(""),
	/** Where the agent listens: the box's own address, never a virtual one. */
	listen: address.default("0.0.0.0"),
	port: z.int().min(1).max(65535).default(161),
	communities: z.array(z.string().min(1).max(64)).max(8).default([]),
	sources: z.array(network).max(64).default([]),
	users: z.array(user).max(16).default([]),
	/** Receivers of notifications, with the first community. */
	traps: z.array(address).max(8).default([]),
});
export type SnmpSettings = z.output<typeof snmpSchema>;
