/** The `[snmp]` section of appliance.toml. Off until it is set; nobody may ask until sources are named. Pure. */
import { z } from "zod";
import { address, line, network, portNumber } from "../../appliance/settings/words.ts";

/** RFC 3414 §11.2: at least eight characters. */
export const snmpPassword = z.string().min(8).max(255);
export const snmpUserName = z.string().min(1).max(32);
export const community = z.string().min(1).max(64);

const user = z.strictObject({
	name: snmpUserName,
	auth: z.enum(["sha256", "sha"]).default("sha256"),
	auth_password: snmpPassword,
	privacy: z.enum(["aes", "aes256"]).default("aes"),
	privacy_password: snmpPassword,
});

const receiver = z.discriminatedUnion("version", [
	z.strictObject({
		version: z.literal("v2c"),
		address: address,
		port: portNumber.default(162),
		kind: z.enum(["trap", "inform"]).default("inform").describe("informs are acknowledged and repeated"),
		community: community,
	}),
	z.strictObject({
		version: z.literal("v3"),
		address: address,
		port: portNumber.default(162),
		kind: z.enum(["trap", "inform"]).default("inform").describe("informs are acknowledged and repeated"),
		user: snmpUserName.describe("the name of one of snmp.users"),
	}),
]);

export const snmpSchema = z.strictObject({
	enabled: z.boolean().default(false),
	location: line.default("").describe("sysLocation"),
	contact: line.default("").describe("sysContact"),
	listen: address.default("0.0.0.0").describe("the box's own address, never a virtual one"),
	port: portNumber.default(161),
	communities: z.array(community).max(8).default([]).describe("SNMP v2c, read only"),
	sources: z.array(network).max(64).default([]).describe("who may ask; empty: nobody"),
	users: z.array(user).max(16).default([]).describe("SNMP v3, authPriv, read only"),
	receivers: z.array(receiver).max(8).default([]).describe("whom to notify"),
	source: address.optional().describe("the box's own address that notifications come from"),
	authentication_traps: z
		.boolean()
		.default(true)
		.describe("authenticationFailure when a question is refused"),
});
export type SnmpSettings = z.output<typeof snmpSchema>;
export type SnmpReceiver = SnmpSettings["receivers"][number];
