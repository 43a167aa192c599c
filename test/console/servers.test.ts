/** Virtual and real servers by name, and their lines in a keepalived.conf, which keeps its author's hand. */
import { describe, expect, test } from "bun:test";
import { parseDocument, print } from "../../firmware/config/keepalived/document.ts";
import {
	addRealServer,
	addVirtualServer,
	changeRealServer,
	changeVirtualServer,
	removeRealServer,
	removeVirtualServer,
} from "../../firmware/console/servers/edit.ts";
import {
	findRealServer,
	findVirtualServer,
	namesOf,
	parseEndpoint,
	shortName,
} from "../../firmware/console/servers/name.ts";
import { realServerList, virtualServerList } from "../../firmware/console/servers/screen.ts";
import { check, newRealServer, virtualServerChange, whole } from "../../firmware/console/servers/words.ts";
import { WIDTH_COLUMNS } from "../../firmware/console/wrap.ts";
import { realServerStatus, virtualServerStatus } from "./samples.ts";

const file = `! the shop, ask Anna
global_defs {
    router_id LVS
}

virtual_server 192.168.80.200 80 {
    delay_loop 6   # seconds
    lvs_sched rr
    lb_kind DR

    # the old one
    real_server 192.168.80.102 80 {
        weight 1
        TCP_CHECK { connect_timeout 3 }
    }
    real_server 192.168.80.103 80 { weight 1 }
}
# by mark
virtual_server fwmark 3 {
    lb_algo wrr
}
`;

const shop = "[192.168.80.200]:tcp:80";
const edited = (change: (document: ReturnType<typeof parseDocument>) => ReturnType<typeof parseDocument>) =>
	print(change(parseDocument(file)));

/** Lines that are in one text only, as diff shows them. */
function difference(after: string): string[] {
	const [before, now] = [file.split("\n"), after.split("\n")];
	return [
		...before.filter((line) => !now.includes(line)).map((line) => `-${line}`),
		...now.filter((line) => !before.includes(line)).map((line) => `+${line}`),
	];
}

describe("edits touch their own lines and no other", () => {
	test("another scheduler, under the name that the file uses", () => {
		const text = edited((document) => changeVirtualServer(document, shop, { scheduler: "wlc" }));
		expect(difference(text)).toEqual(["-    lvs_sched rr", "+    lvs_sched wlc"]);
	});
	test("a comment behind a value stays", () => {
		const text = edited((document) => changeVirtualServer(document, shop, { delay: "2" }));
		expect(difference(text)).toEqual(["-    delay_loop 6   # seconds", "+    delay_loop 2   # seconds"]);
	});
	test("a setting that was not there, and its end", () => {
		const sorry = changeVirtualServer(parseDocument(file), shop, { sorry: "192.168.80.9 80" });
		expect(difference(print(sorry))).toEqual(["+    sorry_server 192.168.80.9 80"]);
		expect(print(changeVirtualServer(sorry, shop, { sorry: null }))).toBe(file);
	});
	test("a real server more, a weight, a real server less with its comment", () => {
		const real = newRealServer("192.168.80.104:80=3", check("http:/health"));
		expect(difference(edited((document) => addRealServer(document, shop, real)))).toEqual([
			"+    real_server 192.168.80.104 80 {",
			"+        weight 3",
			"+        HTTP_GET {",
			"+            url {",
			"+                path /health",
			"+                status_code 200",
			"+            }",
			"+            connect_timeout 3",
			"+        }",
		]);
		const place = { address: "192.168.80.102", port: 80 };
		const weighted = edited((document) => changeRealServer(document, shop, place, 5));
		expect(difference(weighted)).toEqual(["-        weight 1", "+        weight 5"]);
		expect(edited((document) => removeRealServer(document, shop, place))).not.toContain("the old one");
	});
	test("a virtual server more, and one less", () => {
		const text = edited((document) =>
			addVirtualServer(document, {
				address: "192.168.80.201",
				port: 443,
				protocol: "TCP",
				scheduler: "wlc",
				forwarding: "DR",
				delaySeconds: 6,
				persistenceSeconds: 300,
				realServers: [newRealServer("192.168.80.102:443", check("tcp"))],
			}),
		);
		expect(text).toContain("virtual_server 192.168.80.201 443 {\n    delay_loop 6\n    lb_algo wlc\n");
		expect(text).toContain("    persistence_timeout 300\n");
		expect(text.startsWith("! the shop, ask Anna\n")).toBe(true);
		const without = edited((document) => removeVirtualServer(document, "FWM 3"));
		expect(without).not.toContain("fwmark");
		expect(without).toContain("the old one");
	});
});

describe("what cannot be edited is said", () => {
	test.each([
		["[10.0.0.1]:tcp:80", "virtual server [10.0.0.1]:tcp:80 is not written in keepalived.conf itself"],
		["[shop]:0", "virtual server [shop]:0 is not written in keepalived.conf itself"],
	])("%p", (name, message) => {
		expect(() => edited((document) => removeVirtualServer(document, name))).toThrow(message);
	});
	test("a real server that is there already, and one that is not", () => {
		const real = newRealServer("192.168.80.102:80", check("tcp"));
		expect(() => edited((document) => addRealServer(document, shop, real))).toThrow(
			"192.168.80.102:80 is in [192.168.80.200]:tcp:80 already",
		);
		const gone = { address: "192.168.80.9", port: 80 };
		expect(() => edited((document) => removeRealServer(document, shop, gone))).toThrow(
			"real server 192.168.80.9:80 is not written",
		);
	});
	test("the same words twice", () => {
		const twice = `${file}virtual_server 192.168.80.200 80 {\n    protocol UDP\n}\n`;
		expect(() => removeVirtualServer(parseDocument(twice), shop)).toThrow("more than once");
	});
});

describe("names", () => {
	const servers = [
		virtualServerStatus({ name: shop }),
		virtualServerStatus({ name: "[192.168.80.200]:udp:53" }),
		virtualServerStatus({ name: "[fd00:80::201]:tcp:80" }),
		virtualServerStatus({ name: "FWM 3" }),
		virtualServerStatus({ name: "[shop]:0" }),
	];
	test.each([
		["192.168.80.200:80", shop],
		["[192.168.80.200]:tcp:80", shop],
		["192.168.80.200:53", "[192.168.80.200]:udp:53"],
		["192.168.80.200:53/udp", "[192.168.80.200]:udp:53"],
		["fd00:80:0::201", "[fd00:80::201]:tcp:80"],
		["[fd00:80:0:0::201]:80", "[fd00:80::201]:tcp:80"],
		["fwm3", "FWM 3"],
		["fwmark 3", "FWM 3"],
		["SHOP", "[shop]:0"],
	])("%p is %p", (typed, name) => {
		expect(findVirtualServer(servers, typed).name).toBe(name);
	});
	test("every server answers to its own short name", () => {
		for (const { name } of servers) expect(findVirtualServer(servers, shortName(name)).name).toBe(name);
		expect(namesOf("[fd00::1]:tcp:80")).toEqual([
			"[fd00::1]:80",
			"[fd00::1]:80/tcp",
			"fd00::1",
			"[fd00::1]:tcp:80",
		]);
	});
	test.each([
		["192.168.80.200", '"192.168.80.200" can be 192.168.80.200:80 or 192.168.80.200:53/udp: say which'],
		[
			"10.0.0.1",
			'there is no virtual server "10.0.0.1"; there are 192.168.80.200:80, 192.168.80.200:53/udp, [fd00:80::201]:80, fwm3 and shop',
		],
	])("%p: %p", (typed, message) => {
		expect(() => findVirtualServer(servers, typed)).toThrow(message);
	});
	test("a real server stands in every virtual server that has it", () => {
		expect(findRealServer(servers, "192.168.80.102").length).toBe(servers.length);
		expect(findRealServer(servers, "192.168.80.103:80")[0]!.places).toEqual([1]);
		expect(() => findRealServer(servers, "192.168.80.9:80")).toThrow(
			"there is no real server 192.168.80.9:80; there are 192.168.80.102:80 and 192.168.80.103:80",
		);
		expect(() => findRealServer(servers, "web1")).toThrow('"web1" is neither an address nor ADDRESS:PORT');
	});
	test.each(["10.0.0.1", "10.0.0.1:", "10.0.0.1:70000", "fd00::1:80:", "web:80", "[fd00::1]", ""])(
		"%p is no endpoint",
		(text) => expect(parseEndpoint(text)).toBeNull(),
	);
});

describe("words", () => {
	test.each([
		[() => newRealServer("10.0.0.4", check("tcp")), '"10.0.0.4" is not ADDRESS:PORT, such as 10.0.0.4:80'],
		[
			() => newRealServer("10.0.0.4:80=many", check("tcp")),
			'a weight is a number from 0 to 65535, not "many"',
		],
		[() => check("https:/x"), '"https:/x" is no check: tcp, none, or http:/PATH'],
		[() => check("http:/x }"), "is no check"],
		[() => virtualServerChange({ scheduler: "best" }), 'there is no scheduler "best": rr, wrr'],
		[() => virtualServerChange({ forward: "lan" }), 'there is no forwarding "lan": NAT, DR or TUN'],
		[() => virtualServerChange({}), "say what to change"],
		[() => whole("-1", 0, 5, "it"), 'it is a number from 0 to 5, not "-1"'],
	])("%#", (attempt, message) => {
		expect(attempt).toThrow(message);
	});
});

test("lists fit the line, whatever the names and numbers", () => {
	const wide = virtualServerStatus({
		name: "[fd00:1111:2222:3333:4444:5555:6666:7777]:tcp:65535",
		connectionsPerSecond: 99_999,
		inBytesPerSecond: 9.9e11,
		outBytesPerSecond: 9.9e11,
		realServers: [
			realServerStatus({
				address: "fd00:1111:2222:3333:4444:5555:6666:7777",
				activeConnections: 1e7,
				weight: 0,
				effectiveWeight: 65_535,
			}),
		],
	});
	for (const line of [...virtualServerList([wide]), ...realServerList(wide)])
		expect(line.length).toBeLessThanOrEqual(WIDTH_COLUMNS);
	expect(realServerList(wide)[1]).toContain("0 of 65535");
});
