/**
 * What sshd(8) is told, from appliance.toml. Everyone who may log in gets the console, and nothing
 * else: no forwarding, no file transfer. Users are other names of root, so that the log tells them
 * apart. Pure.
 */
import type { ApplianceSettings } from "./settings/schema.ts";

export const SSH_DIRECTORY = "/run/drover/ssh";
/** What a person meets after logging in. */
const CONSOLE = "/usr/lib/drover/terminal";

/** sshd_config(5). */
export function sshdConfig({ ssh, user }: ApplianceSettings, identityDirectory: string): string {
	const names = ["root", ...user.map(({ name }) => name)];
	const who =
		ssh.sources.length === 0 ? names : names.flatMap((name) => ssh.sources.map((from) => `${name}@${from}`));
	return [
		`Port ${ssh.port}`,
		`HostKey ${identityDirectory}/ssh_host_ed25519_key`,
		`HostKey ${identityDirectory}/ssh_host_ecdsa_key`,
		`AuthorizedKeysFile ${SSH_DIRECTORY}/keys/%u`,
		`AllowUsers ${who.join(" ")}`,
		`PermitRootLogin ${ssh.passwords ? "yes" : "prohibit-password"}`,
		`PasswordAuthentication ${ssh.passwords ? "yes" : "no"}`,
		"KbdInteractiveAuthentication no",
		"UsePAM no",
		"UseDNS no",
		`ForceCommand ${CONSOLE}`,
		"DisableForwarding yes",
		"PermitUserEnvironment no",
		"PermitUserRC no",
		"PrintMotd no",
		"PrintLastLog no",
		"LoginGraceTime 30",
		"MaxAuthTries 3",
		"MaxStartups 5:50:20",
		"PerSourceMaxStartups 3",
		"ClientAliveInterval 30",
		"ClientAliveCountMax 4",
		"PidFile none",
		"LogLevel INFO",
		"",
	].join("\n");
}

/** Lines for passwd(5): the users beside those of the image. */
export function passwdLines({ user }: ApplianceSettings): string {
	return user
		.filter(({ name }) => name !== "root")
		.map(({ name }) => `${name}:x:0:0:${name}:/root:/bin/bash\n`)
		.join("");
}

/** Lines for shadow(5), by name; "*" is "no password". root's own is chosen at the console. */
export function shadowLines({ user }: ApplianceSettings): string {
	return user
		.filter(({ name }) => name !== "root")
		.map(({ name, password_hash }) => `${name}:${password_hash ?? "*"}:::::::\n`)
		.join("");
}

/** authorized_keys of each user. */
export function authorizedKeys({ user }: ApplianceSettings): ReadonlyMap<string, string> {
	return new Map(user.map(({ name, keys }) => [name, keys.map((key) => `${key}\n`).join("")]));
}
