/** Virtual servers whose settings say what the one before said take over what followed: each is as if it stood alone. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { LoadedConfig } from "../../firmware/config/keepalived/load.ts";
import { brief, loadText, withFile } from "./load-text.ts";

/** Without these something is said of each. */
const usual = ["protocol TCP", "lb_kind NAT", "lb_algo wrr"];
const settings = [
	"protocol UDP",
	"lb_kind DR",
	"lb_kind TUN type gue port 6080",
	"lb_algo sh",
	"lb_algo nonsense",
	"sh-port",
	"weight 2",
	"weight 0",
	"quorum 3",
	"quorum 9",
	"hysteresis 2",
	"persistence_timeout 50",
	"persistence_granularity 255.255.255.0",
	"sorry_server 10.9.9.9 80",
	"inhibit_on_failure",
	"path_check off",
	"quorum_up /bin/true",
	"quorum_up /no/such",
	"snmp_name a",
	"snmp_name b",
	"ops",
	"ip_family inet6",
	"delay_loop 3",
	"alpha",
];
const realServers = [
	"10.1.0.1 80 {\n\t}",
	"10.1.0.2 80 {\n\t}",
	"10.1.0.3 0 {\n\t\tweight 2\n\t}",
	"10.1.0.4 8080 {\n\t\tTCP_CHECK {\n\t\t\tconnect_timeout 2\n\t\t}\n\t}",
	"10.1.0.5 80 {\n\t\tlvs_method TUN\n\t}",
	"fd00::1 80 {\n\t}",
	"10.1.0.999 80 {\n\t}",
];
const names = ["10.0.0.$ 80", "10.0.0.$ 443", "10.0.0.$ 0", "fd00::$ 80", "fwmark $", "group some"];
const group = "virtual_server_group some {\n\t10.0.1.1 80\n\t10.0.1.2 81\n}\n";

const errorsOf = (loaded: LoadedConfig) => brief(loaded).filter((line) => line.startsWith("error"));

test("each of several is what it is alone", () => {
	// Few kinds in one file, so that neighbours often say the same.
	const kinds = fc.array(fc.uniqueArray(fc.constantFrom(...settings), { maxLength: 2 }), {
		minLength: 1,
		maxLength: 2,
	});
	const file = kinds.chain((some) =>
		fc.array(
			fc.tuple(
				fc.constantFrom(...names),
				fc.constantFrom(...some),
				fc.uniqueArray(fc.constantFrom(...realServers), { minLength: 1, maxLength: 2 }),
			),
			{ minLength: 2, maxLength: 4 },
		),
	);
	withFile((load) =>
		fc.assert(
			fc.property(file, (servers) => {
				const blocks = servers.map(
					([name, own, rest], index) =>
						`virtual_server ${name.replace("$", String(index + 1))} {\n${[...usual, ...own].map((line) => `\t${line}\n`).join("")}${rest.map((one) => `\treal_server ${one}\n`).join("")}}\n`,
				);
				const together = load(group + blocks.join(""));
				const alone = blocks.map((block, index) => {
					const above = blocks.slice(0, index).join("").replaceAll(/[^\n]/g, "");
					return load(group + above + block);
				});
				expect(together.config.virtualServers).toEqual(alone.flatMap(({ config }) => config.virtualServers));
				// What is said once for a whole file aside.
				expect(errorsOf(together).filter((line) => !line.includes("is defined twice"))).toEqual(
					alone.flatMap(errorsOf),
				);
			}),
			{ numRuns: 1000 },
		),
	);
});

test("a number that differs", () => {
	const server = (address: string, weight: number) =>
		`virtual_server ${address} 80 {\n${usual.join("\n")}\nweight ${weight}\nreal_server 10.1.0.1 80 {\n}\nreal_server 10.1.0.2 80 {\nweight 5\n}\n}\n`;
	const { config } = loadText([server("10.0.0.1", 2), server("10.0.0.2", 3), server("10.0.0.3", 3)].join(""));
	const weights = config.virtualServers.map(({ realServers }) => realServers.map(({ weight }) => weight));
	expect(weights).toEqual([
		[2, 5],
		[3, 5],
		[3, 5],
	]);
});
