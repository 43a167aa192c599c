import { expect, test } from "bun:test";
import { kernelAddress } from "../../firmware/vrrp/address-keeper.ts";
import { guardedText } from "../../firmware/vrrp/guard.ts";
import { addressOf } from "./config.ts";

test("the guard waits from lease to lease, the shortest first", () => {
	const one = (address: string, leaseMicros: number) => {
		const config = addressOf(address);
		return { held: { key: "k", config, kernel: kernelAddress(config, 2) }, device: "eth0", leaseMicros };
	};
	const text = guardedText([
		one("192.0.2.201", 3_000_000),
		one("192.0.2.200", 300_000),
		one("192.0.2.202", 3_000_000),
	]);
	expect(text.split("\n").map((line) => line.replace(/\/\d+/, ""))).toEqual([
		"0.3 192.0.2.200 eth0",
		"2.7 192.0.2.201 eth0",
		"0 192.0.2.202 eth0",
		"",
	]);
});
