/**
 * `appliance.toml`: what keepalived.conf and VCL do not say of a box: its name, its ports,
 * who may watch it. Every field has a default, so that an empty file is a valid one.
 */
import { z } from "zod";
import { parseAddress } from "../wire/ip.ts";

export const FILE_LIMIT_BYTES = 256 * 1024;

const address = z.string().refine((text) => parseAddress(text) !== null, "an IPv4 or IPv6 address");
const network = z.string().refine((text) => {
	const [base, length] = text.split("/");
	const bytes = parseAddress(base ?? "");
	return (
		bytes !== null && (length === undefined || (/^\d+$/.test(length) && Number(length) <= bytes.length * 8))
	);
}, 'an address with a prefix length, such as "192.0.2.1/24"');
const hostName = z
	.string()
	.regex(/^[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?(\.[A-Za-z0-9-]{1,63})*$/, "a host name");
const interfaceName = z.string().regex(/^[^\s/:]{1,15}$/, "an interface's name, 15 characters at most");

const port = z.strictObject({
	interface: interfaceName.optional(),
	/** Finds the port whatever the kernel calls it. */
	mac: z
		.string()
		.regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i, "a MAC address, such as 52:54:00:12:34:56")
		.optional(),
	addresses: z.array(network).max(64).default([]),
});

const snmpUser = z.strictObject({
	name: z.string().min(1).max(32),
	auth: z.enum(["sha256", "sha"]).default("sha256"),
	auth_password: z.string().min(8).max(255),
	privacy: z.enum(["aes", "aes256"]).default("aes"),
	privacy_password: z.string().min(8).max(255),
});

export const applianceSchema = z.strictObject({
	host_name: hostName.default("drover"),
	location: z.string().max(255).default(""),
	contact: z.string().max(255).default(""),
	outside: port.prefault({}),
	inside: port.prefault({}),
	routes: z
		.array(z.strictObject({ to: network.or(z.literal("default")), via: address }))
		.max(256)
		.default([]),
	dns: z.array(address).max(3).default([]),
	ntp: z.array(address.or(hostName)).max(8).default([]),
	syslog: z.array(address.or(hostName)).max(4).default([]),
	snmp: z
		.strictObject({
			enabled: z.boolean().default(false),
			/** Where the agent listens: its own address, never a virtual one. */
			listen: address.default("0.0.0.0"),
			port: z.number().int().min(1).max(65535).default(161),
			communities: z.array(z.string().min(1).max(64)).max(8).default([]),
			/** Who may ask; empty is nobody. */
			sources: z.array(network).max(64).default([]),
			users: z.array(snmpUser).max(16).default([]),
			/** Receivers of traps, by version 2c with the first community. */
			traps: z.array(address).max(8).default([]),
		})
		.prefault({}),
	metrics: z
		.strictObject({
			enabled: z.boolean().default(false),
			port: z.number().int().min(1).max(65535).default(9110),
		})
		.prefault({}),
});
export type ApplianceConfig = z.infer<typeof applianceSchema>;

export type ApplianceResult =
	| { readonly ok: true; readonly config: ApplianceConfig }
	| { readonly ok: false; readonly problems: readonly string[] };

/** Reads the text of an appliance.toml. Problems name the field and what it takes. */
export function parseAppliance(text: string): ApplianceResult {
	if (text.length > FILE_LIMIT_BYTES)
		return { ok: false, problems: [`appliance.toml is over its limit of ${FILE_LIMIT_BYTES} bytes`] };
	let value: unknown;
	try {
		value = Bun.TOML.parse(text);
	} catch (error) {
		return {
			ok: false,
			problems: [`appliance.toml is no TOML: ${error instanceof Error ? error.message : error}`],
		};
	}
	const parsed = applianceSchema.safeParse(value);
	if (parsed.success) return { ok: true, config: parsed.data };
	return {
		ok: false,
		problems: parsed.error.issues.map(
			({ path, message }) => `appliance.toml: ${path.join(".") || "the file"}: ${message}`,
		),
	};
}

/** The published JSON schema of the file. */
export function applianceJsonSchema(): unknown {
	return z.toJSONSchema(applianceSchema, { io: "input" });
}
