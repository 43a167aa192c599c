/** What another appliance.toml changes, told before it is put into force. */
import { expect, test } from "bun:test";
import { parseSettings } from "../../../firmware/appliance/settings.ts";
import { settingsChanges } from "../../../firmware/config/revisions/settings-plan.ts";

const changes = (before: string, after: string) =>
	settingsChanges(parseSettings(before), parseSettings(after));

test("equal settings: nothing", () =>
	expect(changes('hostname = "a"', 'hostname = "a"\ndns = []')).toEqual([]));

test("every setting by its name, a section of a list by its own", () => {
	expect(
		changes(
			'[[port]]\nname = "eth0"\nrole = "outside"\naddresses = ["192.0.2.10/24"]\n[ntp]\nservers = ["192.0.2.1"]\n',
			'[[port]]\nname = "eth0"\nrole = "inside"\naddresses = ["192.0.2.11/24"]\n[ssh]\nenabled = true\nsources = ["10.0.0.0/8"]\n[[user]]\nname = "anna"\n',
		),
	).toEqual([
		"- address 192.0.2.10/24 dev eth0",
		"+ address 192.0.2.11/24 dev eth0",
		"- the service ntp ends",
		"+ the service sshd starts",
		"~ port[eth0].role: outside → inside",
		"~ ntp.servers: 192.0.2.1 → none",
		"+ user[anna].name: anna",
		"+ user[anna].keys: none",
		"~ ssh.enabled: off → on",
		"~ ssh.sources: none → 10.0.0.0/8",
	]);
});

test("secrets are not shown", () => {
	const text = changes(
		"",
		'[snmp]\nenabled = true\nsources = ["10.0.0.0/8"]\ncommunities = ["whisper"]\n[[snmp.users]]\nname = "watch"\nauth_password = "murmured1"\nprivacy_password = "murmured2"\n',
	).join("\n");
	expect(text).toContain("~ snmp.communities: (not shown) → (not shown)");
	expect(text).toContain("+ snmp.users[watch].auth_password: (not shown)");
	expect(text).not.toMatch(/whisper|murmured/);
});
