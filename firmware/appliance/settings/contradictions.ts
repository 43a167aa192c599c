/** Settings that are right each for itself and wrong together. Pure. */

import { canonicalAddress } from "../../wire/ip.ts";
import { inNetwork } from "../../wire/ip-network.ts";
import type { TomlPath } from "../toml.ts";
import { pathText, type SettingsFinding } from "./findings.ts";
import type { ApplianceSettings } from "./schema.ts";

export function contradictions(settings: ApplianceSettings): SettingsFinding[] {
	return [
		...twice(settings.port.map(({ name }, index) => [["port", index, "name"], name])),
		...twice(
			settings.port.flatMap(({ addresses }, index) =>
				addresses.map((address, number): Named => {
					const path = ["port", index, "addresses", number];
					return [path, canonicalAddress(address.split("/")[0]!) ?? address];
				}),
			),
		),
		...twice(settings.user.map(({ name }, index) => [["user", index, "name"], name])),
		...twice(settings.snmp.users.map(({ name }, index) => [["snmp", "users", index, "name"], name])),
		...twice(settings.cache.storage.map(({ name }, index) => [["cache", "storage", index, "name"], name])),
		...twice([
			...settings.cache.listen.map((text, index): Named => [["cache", "listen", index], text]),
			...settings.cache.tls.map(({ listen }, index): Named => [["cache", "tls", index, "listen"], listen]),
		]),
		...gateways(settings),
		...snmp(settings),
		...access(settings),
		...services(settings),
	];
}

type Named = readonly [path: TomlPath, name: string];

const error = (path: TomlPath, message: string, suggestion?: string): SettingsFinding => ({
	severity: "error",
	code: "contradiction",
	message,
	path,
	at: "value",
	...(suggestion === undefined ? {} : { suggestion }),
});
const warning = (path: TomlPath, message: string, suggestion?: string): SettingsFinding => ({
	...error(path, message, suggestion),
	severity: "warning",
	code: "doubtful",
});

function twice(all: readonly Named[]): SettingsFinding[] {
	const first = new Map<string, TomlPath>();
	return all.flatMap(([path, name]) => {
		const before = first.get(name);
		if (before === undefined) first.set(name, path);
		return before === undefined ? [] : error(path, `"${name}" is here twice: it is also ${pathText(before)}`);
	});
}

/** The kernel takes a route only through a gateway that a port reaches. */
function gateways({ port, route }: ApplianceSettings): SettingsFinding[] {
	const onLink = (gateway: string, addresses: readonly string[]) =>
		gateway.toLowerCase().startsWith("fe80:") || addresses.some((prefix) => inNetwork(gateway, prefix));
	const all = port.flatMap(({ addresses }) => addresses);
	return [
		...port.flatMap(({ gateways: own, addresses, name }, index) =>
			own.flatMap((gateway, number) =>
				onLink(gateway, addresses)
					? []
					: error(
							["port", index, "gateways", number],
							`${gateway} lies in no network of ${name}'s addresses`,
						),
			),
		),
		...route.flatMap(({ via }, index) =>
			onLink(via, all)
				? []
				: error(["route", index, "via"], `${via} lies in no network of any port's addresses`),
		),
	];
}

function snmp({
	snmp: { enabled, sources, communities, users, receivers },
}: ApplianceSettings): SettingsFinding[] {
	const findings = receivers.flatMap((receiver, index) =>
		receiver.version === "v3" && !users.some(({ name }) => name === receiver.user)
			? error(
					["snmp", "receivers", index, "user"],
					`there is no user "${receiver.user}" in snmp.users`,
					"add it as [[snmp.users]] with its passwords",
				)
			: [],
	);
	if (!enabled) return findings;
	if (sources.length === 0)
		findings.push(
			warning(
				["snmp"],
				"nobody may ask: snmp.sources is empty",
				'name who may, such as sources = ["10.80.0.0/24"]',
			),
		);
	if (communities.length === 0 && users.length === 0)
		findings.push(
			warning(["snmp"], "nobody can ask: there are neither communities nor users", "add one of them"),
		);
	return [
		...findings,
		...communities.flatMap((community, index) =>
			["public", "private"].includes(community)
				? warning(["snmp", "communities", index], `"${community}" is the first community that anyone tries`)
				: [],
		),
	];
}

function access({ ssh, user }: ApplianceSettings): SettingsFinding[] {
	if (!ssh.enabled || user.length === 0) return [];
	const canLogIn = user.some(
		(each) => each.keys.length > 0 || (ssh.passwords && each.password_hash !== undefined),
	);
	return canLogIn
		? []
		: [
				warning(
					["ssh"],
					"SSH is enabled and no user of this file can log in",
					"add keys to a user, or set ssh.passwords = true and give a user a password",
				),
			];
}

function services({ metrics, port, syslog, cache }: ApplianceSettings): SettingsFinding[] {
	const findings: SettingsFinding[] = [];
	const inside = port.filter(({ role }) => role === "inside");
	if (metrics.enabled && inside.every(({ addresses }) => addresses.length === 0))
		findings.push(
			error(
				["metrics", "enabled"],
				"metrics are answered on inside ports only, and none has an address",
				'give one port role = "inside" and an address',
			),
		);
	syslog.receivers.forEach(({ transport, ca }, index) => {
		if (transport === "tls" && ca === undefined)
			findings.push(
				error(
					["syslog", "receivers", index],
					"a TLS receiver needs ca, the certificates to trust",
					'copy the PEM file into the working copy and name it: ca = "syslog-ca.pem"',
				),
			);
		if (transport !== "tls" && ca !== undefined)
			findings.push(
				warning(["syslog", "receivers", index, "ca"], `ca has no effect with transport "${transport}"`),
			);
	});
	if (cache.enabled && (cache.vcl ?? cache.backend ?? cache.pool) === undefined)
		findings.push(
			error(
				["cache"],
				"the cache needs a policy or a web server",
				'set vcl = "default.vcl", backend = "HOST:PORT" or pool = "ADDRESS PORT" of a virtual server',
			),
		);
	if (cache.vcl !== undefined && cache.backend !== undefined)
		findings.push(error(["cache", "backend"], "vcl and backend exclude each other", "remove one of them"));
	if (cache.pool !== undefined && cache.backend !== undefined)
		findings.push(error(["cache", "backend"], "pool and backend exclude each other", "remove one of them"));
	return findings;
}
