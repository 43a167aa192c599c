/** Who gets in and what goes out, as an operator reads it. Pure. */
import { wrap } from "./wrap.ts";

export interface AccessFacts {
	readonly password: "set" | "none";
	/** Of appliance.toml. */
	readonly file: "read" | "none" | "unreadable";
	readonly ssh: {
		readonly enabled: boolean;
		readonly port: number;
		readonly passwords: boolean;
		readonly sources: readonly string[];
	};
	readonly users: readonly { readonly name: string; readonly keys: number; readonly password: boolean }[];
	readonly snmp: {
		readonly enabled: boolean;
		readonly address: string;
		readonly communities: number;
		readonly users: readonly string[];
		readonly sources: readonly string[];
		readonly receivers: readonly string[];
	};
	readonly syslog: readonly string[];
	readonly ntp: readonly string[];
	readonly idleMinutes: number;
	readonly recovery: boolean;
}

export function accessScreen(facts: AccessFacts): string[] {
	const { ssh, snmp } = facts;
	const row = (name: string, text: string) => wrap(text, name.padEnd(10), " ".repeat(10));
	return [
		...(facts.file === "none" ? ["There is no appliance.toml: nothing but the password is set."] : []),
		...(facts.file === "unreadable"
			? ['appliance.toml cannot be used: "config check" says why. This is what holds without it.']
			: []),
		...row("Password", facts.password === "set" ? "set" : "NOT SET: whoever is at the console is in"),
		...row(
			"Console",
			`${facts.idleMinutes === 0 ? "never logs out by itself" : `logs out after ${facts.idleMinutes} min`}; the loader's entry "recover" ${facts.recovery ? "may set a new password" : "may not set a new password"}`,
		),
		...row(
			"SSH",
			ssh.enabled
				? `on, port ${ssh.port}, ${ssh.passwords ? "keys and passwords" : "keys only"}, from ${ssh.sources.join(" ") || "everywhere"}`
				: "off",
		),
		...facts.users.flatMap(({ name, keys, password }) =>
			row("", `${name}: ${keys === 1 ? "1 key" : `${keys} keys`}${password ? ", a password" : ""}`),
		),
		...row(
			"SNMP",
			snmp.enabled
				? `on, ${snmp.address}, ${snmp.communities === 0 ? "no community" : `${snmp.communities} v2c communities`}, v3 users ${snmp.users.join(" ") || "none"}, asked by ${snmp.sources.join(" ") || "nobody yet: no sources"}`
				: "off",
		),
		...(snmp.receivers.length > 0 ? row("", `tells ${snmp.receivers.join(", ")}`) : []),
		...row("Syslog", facts.syslog.length > 0 ? `to ${facts.syslog.join(", ")}` : "not sent anywhere"),
		...row("NTP", facts.ntp.length > 0 ? `asks ${facts.ntp.join(", ")}` : "not set: the clock is left alone"),
	];
}
