/** appliance.toml, and the addresses and routes that it comes to. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { networkPlan } from "../../firmware/appliance/network-plan.ts";
import { parseSettings, SETTINGS_LIMIT_BYTES } from "../../firmware/appliance/settings.ts";

const director = `
hostname = "director-a"
dns = ["192.168.80.1"]

[[port]]
name = "eth0"
role = "outside"
addresses = ["192.168.80.100/24", "FD00:80::0100/64"]
gateways = ["192.168.80.1"]

[[port]]
name = "eth1"
role = "inside"
mtu = 9000

[[route]]
to = "10.1.0.0/16"
via = "10.80.0.1"
`;

describe("appliance.toml", () => {
	test("ports, addresses and routes become ip(8) commands that may be repeated", () => {
		expect(networkPlan(parseSettings(director))).toEqual([
			"link set dev eth0 up",
			"address replace 192.168.80.100/24 dev eth0",
			"address replace fd00:80::100/64 dev eth0",
			"route replace default via 192.168.80.1 dev eth0",
			"link set dev eth1 mtu 9000 up",
			"route replace 10.1.0.0/16 via 10.80.0.1",
		]);
	});

	test("an empty file is a box with defaults", () => {
		expect(parseSettings("")).toMatchObject({ hostname: "drover", port: [], route: [] });
	});

	test.each<[title: string, text: string, part: string]>([
		["not TOML", "hostname = ", "TOML"],
		["an unknown key is named", 'hostnam = "a"', "hostnam"],
		["a host name with an underscore", 'hostname = "a_b"', "hostname"],
		[
			"an address without a prefix",
			'[[port]]\nname="eth0"\nrole="outside"\naddresses=["10.0.0.1"]',
			"prefix",
		],
		["a prefix too long", '[[port]]\nname="eth0"\nrole="outside"\naddresses=["10.0.0.1/33"]', "prefix"],
		["an interface name with a blank", '[[port]]\nname="eth0 up"\nrole="outside"', "interface name"],
		["an unknown role", '[[port]]\nname="eth0"\nrole="left"', "role"],
		["a gateway that is no address", '[[port]]\nname="e"\nrole="inside"\ngateways=["router"]', "gateways"],
		["a file without end", "#".repeat(SETTINGS_LIMIT_BYTES + 1), "longer"],
	])("%s is refused", (_title, text, part) => {
		expect(() => parseSettings(text)).toThrow(part);
	});

	test("whatever the file holds: an error with words, or commands of one line each", () => {
		const field = fc.string({ unit: "binary", maxLength: 20 });
		fc.assert(
			fc.property(field, field, field, (name, address, via) => {
				const text = `[[port]]\nname=${JSON.stringify(name)}\nrole="inside"\naddresses=[${JSON.stringify(address)}]\n[[route]]\nto=${JSON.stringify(address)}\nvia=${JSON.stringify(via)}`;
				let lines: string[];
				try {
					lines = networkPlan(parseSettings(text));
				} catch (error) {
					expect((error as Error).message).not.toBe("");
					return;
				}
				for (const line of lines) expect(line).toMatch(/^(link|address|route) [^\n]+$/);
			}),
			{ numRuns: 300 },
		);
	});
});
