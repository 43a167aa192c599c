/** Learning how requests were answered costs more than answering them: it is done where they come again. */
import { describe, expect, test } from "bun:test";
import { mainCounters } from "../../../firmware/cache/log/counters.ts";
import { discardingSink } from "../../../firmware/cache/log/sink.ts";
import type { Arena, StoredObject } from "../../../firmware/cache/store/arena.ts";
import {
	type Outcome,
	type Replay,
	type ReplaySession,
	Replays,
} from "../../../firmware/cache/worker/replay.ts";

const vcl = {};
const object = { body: new Uint8Array(8), vxid: 7, ban: 0, tOrigin: 0, ttl: 1000, shard: 0, version: 1 };

/** A worker whose store changes nothing, and a connection that swallows what it is sent. */
function worker() {
	const replays = new Replays({
		// What replays ask of a store.
		arena: {
			kin: () => 1,
			holds: () => true,
			use: () => 1,
			pin: () => true,
			unpin() {},
		} as unknown as Arena,
		bans: { newest: 0 },
		log: discardingSink,
		counters: new Float64Array(mainCounters.counters.length),
		active: vcl,
		accessLog: undefined,
		cacheStatus: false,
		now: () => 10,
		nextTransaction: () => 1001,
	});
	const session: ReplaySession = {
		xid: 2,
		endpoint: {},
		clientIp: { text: "192.0.2.1", port: 40_000 },
		addressSum: 1,
		lastReplay: undefined as Replay | undefined,
		sendWhole() {},
		sendLarge() {},
	};
	const outcome: Outcome = {
		object: object as unknown as StoredObject,
		key: "k",
		head: "HTTP/1.1 200 OK\r\n\r\n",
		body: new Uint8Array(8),
		log: "",
		transaction: 1001,
		age: 10,
		freshUntil: 1000,
		hitsBound: -1,
		urlPlaces: [],
	};
	/** What a session does with a request; "learnt" when it was answered the long way and looked at. */
	return (path: string): "repeated" | "learnt" | "answered" => {
		const bytes = Buffer.from(`GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`);
		if (replays.answer(session, bytes, 10)) return "repeated";
		if (!replays.wanted) return "answered";
		replays.learn(session, bytes, vcl, outcome);
		return "learnt";
	};
}

describe("what is learnt", () => {
	test("a request at its second appearance, and repeated from then on", () => {
		const ask = worker();
		expect(["/a", "/a", "/a", "/a"].map(ask)).toEqual(["answered", "learnt", "repeated", "repeated"]);
	});

	test("little where requests come twice and never again", () => {
		const ask = worker();
		const count = 40_000;
		let learnt = 0;
		for (let index = 0; index < count; index++)
			for (let time = 0; time < 2; time++) if (ask(`/${index}`) === "learnt") learnt++;
		// What a new worker may spend, and a trickle after that.
		expect(learnt).toBeGreaterThan(2000);
		expect(learnt).toBeLessThan(2048 + count / 100);
	});

	test("again where requests do come again", () => {
		const ask = worker();
		for (let index = 0; index < 40_000; index++) for (let time = 0; time < 2; time++) ask(`/${index}`);
		for (let time = 0; time < 600; time++) ask("/39999");
		for (let time = 0; time < 1000; time++) if (ask("/again") === "learnt") break;
		expect(ask("/again")).toBe("repeated");
	});
});
