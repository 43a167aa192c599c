/** What would cut the connection that a commit is made over. */
import { describe, expect, test } from "bun:test";
import { parseSettings } from "../../../firmware/appliance/settings.ts";
import { cuts, parseConnection, type Reachable } from "../../../firmware/config/revisions/own-path.ts";
import { loadText } from "../load-text.ts";

const connection = { client: "10.0.0.7", server: "10.0.0.1", serverPort: 22, user: "anna" };
const settings = (text: string) => parseSettings(text);
const port = (name: string, address: string, gateway = "") =>
	`[[port]]\nname = "${name}"\nrole = "outside"\naddresses = ["${address}"]\ngateways = [${gateway}]\n`;
const box = (text: string, conf = ""): Reachable => ({
	settings: settings(text),
	config: conf === "" ? null : loadText(conf).config,
});
const vip = (address: string) =>
	`vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n priority 100\n virtual_ipaddress {\n ${address}\n }\n}\n`;
const usual = port("eth0", "10.0.0.1/24");
const ssh = (more = "") => `[ssh]\nenabled = true\n${more}`;
const anna = '[[user]]\nname = "anna"\n';

describe("sshd(8) SSH_CONNECTION", () => {
	test.each([
		["10.0.0.7 50022 10.0.0.1 22", { client: "10.0.0.7", server: "10.0.0.1", serverPort: 22, user: "anna" }],
		["::ffff:10.0.0.7 5 ::FFFF:10.0.0.1 22", null],
		["fd00::7 50022 FD00::1 2222", { client: "fd00::7", server: "fd00::1", serverPort: 2222, user: "anna" }],
		[
			"fe80::7%eth0 5 fe80::1%eth0 22",
			{ client: "fe80::7", server: "fe80::1", serverPort: 22, user: "anna" },
		],
		["", null],
		["10.0.0.7 5 10.0.0.1", null],
		["a b c d", null],
	])("%j", (text, expected) => {
		if (text.startsWith("::ffff:"))
			expect(parseConnection(text, "anna")).toMatchObject({ client: "10.0.0.7" });
		else expect(parseConnection(text, "anna")).toEqual(expected);
	});
});

describe("what is found", () => {
	test.each<[title: string, before: Reachable, after: Reachable, found: string[]]>([
		["nothing changed", box(usual), box(usual), []],
		["another address more", box(usual), box(`${usual}${port("eth1", "10.9.0.1/24")}`), []],
		["the address goes", box(usual), box(port("eth0", "10.0.0.2/24")), ["10.0.0.1 goes from eth0"]],
		[
			"it moves to another port",
			box(usual),
			box(port("eth1", "10.0.0.1/24")),
			["10.0.0.1 moves from eth0 to eth1"],
		],
		[
			"appliance.toml goes",
			box(usual),
			{ settings: null, config: null },
			["10.0.0.1 goes from eth0", "there is no route to 10.0.0.7 any more"],
		],
		[
			"an address that no revision gave",
			box(port("eth0", "10.0.0.2/24")),
			box(port("eth0", "10.0.0.3/24")),
			[],
		],
		[
			"the VIP that they came to",
			box(port("eth0", "10.0.0.2/24"), vip("10.0.0.1/24")),
			box(port("eth0", "10.0.0.2/24"), vip("10.0.0.9/24")),
			["10.0.0.1 goes from VRRP instance VI_1"],
		],
		[
			"the gateway",
			box(port("eth0", "10.0.0.1/29", '"10.0.0.2"')),
			box(port("eth0", "10.0.0.1/30")),
			["there is no route to 10.0.0.7 any more"],
		],
		["SSH goes", box(`${usual}${ssh()}`), box(usual), ["SSH is switched off"]],
		["SSH moves", box(`${usual}${ssh()}`), box(`${usual}${ssh("port = 2222")}`), ["SSH moves to port 2222"]],
		[
			"the operator is not among its sources",
			box(`${usual}${ssh()}`),
			box(`${usual}${ssh('sources = ["10.0.1.0/24"]')}`),
			["10.0.0.7 is not among those who may connect by SSH"],
		],
		["the user goes", box(`${usual}${anna}${ssh()}`), box(`${usual}${ssh()}`), ["the user anna is no more"]],
		["an SSH of somebody else's", box(`${usual}${ssh("port = 2222")}`), box(usual), []],
	])("%s", (_title, before, after, found) => {
		expect(cuts(connection, before, after)).toEqual(found);
	});
});
