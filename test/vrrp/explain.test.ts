/** `drover ha why`: the story of an election, sentence by sentence, with the rule of each decision. */
import { expect, test } from "bun:test";
import type { DroverConfig } from "../../firmware/config/model.ts";
import { Timeline } from "../../firmware/status/timeline.ts";
import { type Engine, type EngineEvent, newEngine, step } from "../../firmware/vrrp/engine.ts";
import { explain } from "../../firmware/vrrp/explain.ts";
import { instanceKey } from "../../firmware/vrrp/instance-key.ts";
import { parseAddress } from "../../firmware/wire/ip.ts";
import { decodeIpPacket, encodeIpPacket, type IpPacket } from "../../firmware/wire/ip-packet.ts";
import { encodeAdvertisement } from "../../firmware/wire/vrrp.ts";
import { configOf, groupOf, instanceOf, nowhere, trackProcessOf, trackScriptOf } from "./config.ts";

const SECOND = 1_000_000;

class Story {
	engine: Engine;
	readonly lines: string[] = [];
	#nowMicros = 0;

	constructor(config: DroverConfig) {
		this.engine = newEngine(config, 0);
		this.feed({ kind: "interface", reading: reading(true) });
		this.feed({ kind: "listen" });
		this.feed({ kind: "start" });
	}

	feed(event: EngineEvent, afterMicros = 0): this {
		this.#nowMicros += afterMicros;
		const result = step(this.engine, event, this.#nowMicros);
		for (const { text, from, rule } of explain(this.engine, event, result))
			this.lines.push(
				[text, ...(from === null ? [] : [`from ${from}`]), ...(rule === null ? [] : [rule])].join(" | "),
			);
		this.engine = result.engine;
		return this;
	}

	get key(): string {
		return instanceKey(this.engine.config.vrrpInstances[0]!);
	}

	hears(priority: number, source = "192.0.2.9", afterMicros = SECOND): this {
		return this.feed({ kind: "packet", key: this.key, packet: advert(priority, source) }, afterMicros);
	}

	/** What was told since the last time. */
	told(): string[] {
		return this.lines.splice(0);
	}
}

const reading = (up: boolean) => ({ name: "eth0", index: 2, up, addresses: ["192.0.2.1"] });

function advert(priority: number, source: string): IpPacket {
	const message = encodeAdvertisement(
		{
			version: 2,
			virtualRouterId: 51,
			priority,
			intervalMicros: SECOND,
			authenticationType: 0,
			addresses: ["192.0.2.200"],
		},
		"inet",
		{ kind: "message" },
	);
	const fields = {
		source: parseAddress(source)!,
		destination: parseAddress("224.0.0.18")!,
		protocol: 112,
		hopLimit: 255,
		trafficClass: 0xc0,
		identification: 1,
	};
	return decodeIpPacket(encodeIpPacket(fields, message))!;
}

test("RFC 9568 6.4.2: a backup follows, and takes over when nothing comes", () => {
	const story = new Story(configOf([instanceOf()]));
	expect(story.told()).toEqual([
		"the service started | from operator",
		"INIT -> BACKUP: started | RFC 9568 6.4.1: who does not own the addresses begins as backup",
	]);
	expect(story.hears(150).hears(150).hears(150).told()).toEqual([
		"heard an advert of 192.0.2.9, priority 150; ours is 100 | from 192.0.2.9 | RFC 9568 6.4.2: a backup obeys its own priority and higher ones",
	]);
	story.feed({ kind: "expired", key: story.key, advertSent: false }, 4 * SECOND);
	expect(story.told()).toEqual([
		"BACKUP -> MASTER: no advert from 192.0.2.9 for 3.609 s | RFC 9568 6.4.2: nobody it obeys was heard for 3 x 1 s + 0.609 s skew",
	]);
});

test("RFC 9568 6.4.3: a higher priority is given way to; a goodbye shortens the wait", () => {
	const story = new Story(configOf([instanceOf()]));
	story.feed({ kind: "expired", key: story.key, advertSent: false }, 4 * SECOND).told();
	expect(story.hears(150).told()).toEqual([
		"heard an advert of 192.0.2.9, priority 150; ours is 100 | from 192.0.2.9 | RFC 9568 6.4.2: a backup obeys its own priority and higher ones",
		"MASTER -> BACKUP: 192.0.2.9 has priority 150, ours is 100 | RFC 9568 6.4.3: the higher priority wins; among equals the higher address",
	]);
	expect(story.hears(0).told()).toEqual([
		"192.0.2.9 says goodbye (priority 0) | from 192.0.2.9 | RFC 9568 6.4.2: after a goodbye a backup waits its skew time only",
		"Backup received priority 0 advertisement from 192.0.2.9 | from 192.0.2.9",
	]);
	story.feed({ kind: "expired", key: story.key, advertSent: false }, SECOND);
	expect(story.told()[0]).toBe(
		"BACKUP -> MASTER: 192.0.2.9 gave it up (priority 0) | RFC 9568 6.4.2: after a goodbye a backup waits its skew time only, 0.609 s",
	);
});

test("preemption: a lower priority is not obeyed, and that is the reason given", () => {
	const story = new Story(configOf([instanceOf()]));
	story.told();
	expect(story.hears(99).told()).toEqual([
		"heard an advert of 192.0.2.9, priority 99; ours is 100 | from 192.0.2.9 | preempt: a lower priority is not obeyed, the wait for a master goes on",
	]);
	story.feed({ kind: "expired", key: story.key, advertSent: false }, 3 * SECOND);
	expect(story.told()[0]).toStartWith(
		"BACKUP -> MASTER: 192.0.2.9 has only priority 99, ours is 100 | RFC 9568 6.4.2",
	);
});

test("keepalived.conf(5), track_script: from a script's failure to the loss of mastership", () => {
	const config = configOf(
		[instanceOf({ trackScripts: [{ name: "chk", weight: -20, reverse: false, location: nowhere }] })],
		{ trackScripts: [trackScriptOf("chk", { rise: 1, fall: 1 })] },
	);
	const story = new Story(config);
	story.feed({ kind: "script", name: "chk", success: true });
	story.feed({ kind: "expired", key: story.key, advertSent: false }, 4 * SECOND).told();
	story.feed({ kind: "script", name: "chk", success: false }, SECOND);
	expect(story.told()).toEqual([
		"Script `chk` now returning failure | from script chk",
		"Changing effective priority from 100 to 80 | from script chk",
	]);
	expect(story.hears(90).told().at(-1)).toStartWith(
		"MASTER -> BACKUP: 192.0.2.9 has priority 90, ours is 80",
	);
});

test("a cable that is pulled, and plugged in again", () => {
	const story = new Story(configOf([instanceOf()]));
	story.told();
	story.feed({ kind: "interface", reading: reading(false) }, SECOND);
	expect(story.told()).toEqual([
		"interface eth0 is down | from kernel",
		"BACKUP -> FAULT: interface eth0 is down | keepalived.conf(5): its interface, or a tracked thing without weight, keeps it out of the election",
	]);
	story.feed({ kind: "interface", reading: reading(true) }, SECOND);
	expect(story.told()).toEqual([
		"interface eth0 is up | from kernel",
		"no longer: interface eth0 is down | from interface eth0",
		"FAULT -> BACKUP: no longer: interface eth0 is down | from FAULT always to BACKUP first, as keepalived does",
	]);
});

test("a tracked process is told of when another number of them runs", () => {
	const story = new Story(configOf([instanceOf()], { trackProcesses: [trackProcessOf("web")] }));
	story.told();
	for (const count of [2, 2, 2, 3, 3]) story.feed({ kind: "process", name: "web", count }, SECOND / 2);
	expect(story.told()).toEqual(["process web: 3 running | from kernel"]);
});

test("the operator's word, and a sync group that follows", () => {
	const config = configOf([instanceOf(), instanceOf({ name: "VI_2", virtualRouterId: 52 })], {
		syncGroups: [groupOf("G", ["VI_1", "VI_2"])],
	});
	const story = new Story(config);
	story.told();
	story.feed({ kind: "take-over", keys: [story.key], reason: "the operator asked for it" }, SECOND);
	expect(story.told()).toEqual([
		"asked to become master | from operator",
		"BACKUP -> MASTER: the operator asked for it | the operator's word",
		"BACKUP -> MASTER: sync group follows VI_1 | vrrp_sync_group: all members are master, or none",
		"sync group G -> MASTER | vrrp_sync_group: what happens to one member happens to all",
	]);
});

test("what befalls several instances at once is in the story of each", () => {
	const config = configOf([instanceOf(), instanceOf({ name: "VI_2", virtualRouterId: 52 })]);
	const story = new Story(config);
	const before = story.engine;
	const event: EngineEvent = { kind: "interface", reading: reading(false) };
	const told = explain(before, event, step(before, event, SECOND));
	for (const name of ["VI_1", "VI_2"])
		expect(told.filter(({ subject }) => subject === name).map(({ text }) => text)).toEqual([
			"BACKUP -> FAULT: interface eth0 is down",
		]);
	expect(told.filter(({ text }) => text === "interface eth0 is down")).toHaveLength(1);
});

test("the ring is bounded, and what repeats takes one place", () => {
	const timeline = new Timeline(100);
	const sighting = (text: string) => ({ subject: "VI_1", text, from: null, rule: null });
	for (let at = 0; at < 1_000; at++) timeline.note([sighting("the same")], at);
	expect(timeline.newest(10)).toEqual([{ ...sighting("the same"), atMs: 999, times: 1_000 }]);
	for (let at = 0; at < 1_000; at++) timeline.note([sighting(`entry ${at}`)], at);
	expect(timeline.newest(10_000).length).toBeLessThan(125);
	expect(timeline.newest(2).map(({ text }) => text)).toEqual(["entry 998", "entry 999"]);
	expect(timeline.newest(10, (subject) => subject === "VI_2")).toEqual([]);
});
