/** SNMP notifications in a storm: receivers that are silent, closed or talk nonsense delay nobody, and cost a bound. */
import { afterAll, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serve } from "../../firmware/bus/server.ts";
import {
	Notifier,
	type NotifierOptions,
	QUEUE_LIMIT,
} from "../../firmware/status/snmp/notification/notifier.ts";
import { nothingTold } from "../../firmware/status/snmp/notification/told.ts";
import { watchBox } from "../../firmware/status/snmp/notification/watcher.ts";
import { eventually } from "../lab/netns/network.ts";

const closers: (() => void)[] = [];
afterAll(() => {
	for (const close of closers) close();
});

/** RFC 3416 §4.2.7: the answer to an InformRequest (tag 0xa6) is the same as a Response (0xa2). */
function acknowledged(message: Buffer): Buffer {
	const answer = Buffer.from(message);
	answer[answer.indexOf(0xa6)] = 0xa2;
	return answer;
}

async function receiver(kind: "inform" | "trap", answers: (message: Buffer) => readonly Buffer[]) {
	const socket = createSocket({ type: "udp4", recvBufferSize: 4 * 1024 * 1024 });
	const heard = { count: 0 };
	socket.on("message", (message, from) => {
		heard.count++;
		for (const answer of answers(message)) socket.send(answer, from.port, from.address);
	});
	await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
	closers.push(() => socket.close());
	const settings = {
		address: "127.0.0.1",
		port: socket.address().port,
		version: "v2c",
		community: "public",
		kind,
	} as const;
	return { heard, settings };
}

function notifierTo(receivers: NotifierOptions["receivers"], rest: Partial<NotifierOptions> = {}): Notifier {
	const notifier = new Notifier({
		receivers,
		users: [],
		engineId: Buffer.from("8000000001020304", "hex"),
		engineBoots: 1,
		engineSeconds: () => 1,
		sourceFor: () => null,
		onTrouble: () => {},
		onReachedAgain: () => {},
		...rest,
	});
	closers.push(() => notifier.close());
	return notifier;
}

/** sysUpTime.0 (1.3.6.1.2.1.1.3.0) as BER has it, the tag of its TimeTicks included. */
const UP_TIME = Buffer.of(0x2b, 6, 1, 2, 1, 1, 3, 0, 0x43);

/** Hundredths of a second. */
function upTimeOf(message: Buffer): number {
	const length = message.indexOf(UP_TIME) + UP_TIME.length;
	return message.readUIntBE(length + 1, message[length]!);
}

const descriptors = () => readdirSync("/proc/self/fd").length;
const notification = { oid: [1, 3, 6, 1, 4, 1, 9586, 100, 5, 2, 3, 0, 1], varbinds: [], upMs: 1 };

test("1,000 in a second: those that listen get each, whatever the others do", async () => {
	const good = await receiver("inform", (message) => [acknowledged(message)]);
	const traps = await receiver("trap", () => []);
	const silent = await receiver("inform", () => []);
	const nonsense = await receiver("inform", (message) => {
		const torn = acknowledged(message);
		torn[torn.length >> 1] = 0xff;
		return [torn, torn.subarray(0, 9), Buffer.alloc(50_000, 0x30), Buffer.alloc(0)];
	});
	const all = [good, traps, silent, nonsense].map(({ settings }) => settings);
	const troubles: string[] = [];
	const notifier = notifierTo(
		[...all, { ...good.settings, port: 9 }, { ...good.settings, address: "no address" }],
		{
			onTrouble: (_address, words) => troubles.push(words),
		},
	);
	const before = descriptors();
	let most = 0;
	for (let count = 0; count < 1_000; count++) {
		notifier.send(notification);
		if (count % 20 !== 19) continue;
		await Bun.sleep(5);
		most = Math.max(most, descriptors());
	}
	await eventually("those that listen", () => good.heard.count >= 1_000 && traps.heard.count >= 1_000);
	expect(traps.heard.count).toBe(1_000);
	expect(most - before).toBeLessThanOrEqual(6);
	expect(silent.heard.count).toBeLessThanOrEqual(3);
	expect(notifier.lost).toBe(0);
	// A queue that is full drops its oldest, and says so, also of a receiver that is known not to answer.
	await eventually("the silent one is told of", () =>
		troubles.some((words) => words.includes("no answer within")),
	);
	for (let count = 0; count < QUEUE_LIMIT; count++) notifier.send(notification);
	expect(notifier.lost).toBeGreaterThan(1_000);
	expect(troubles.some((words) => words.includes("the oldest are dropped"))).toBe(true);
});

test("informs arrive in the order in which things happened, whatever is lost on the way", async () => {
	const seen = new Map<number, number>();
	const acknowledgements: number[] = [];
	const lossy = await receiver("inform", (message) => {
		const number = upTimeOf(message);
		const attempt = (seen.get(number) ?? 0) + 1;
		seen.set(number, attempt);
		// The receiver is not there at first; later one question and one answer are lost.
		const isLost = (number === 1 && attempt < 3) || (number === 20 && attempt === 1);
		if (isLost) return [];
		acknowledgements.push(number);
		return number === 40 && attempt === 1 ? [] : [acknowledged(message)];
	});
	const again: number[] = [];
	const notifier = notifierTo([lossy.settings], { onReachedAgain: (_address, lost) => again.push(lost) });
	for (let number = 1; number <= 60; number++) notifier.send({ ...notification, upMs: number * 10 });
	await eventually("all of them", () => notifier.isIdle, 20_000);
	expect([...new Set(acknowledgements)]).toEqual(Array.from({ length: 60 }, (_, at) => at + 1));
	expect(acknowledgements).toEqual([...acknowledgements].sort((a, b) => a - b));
	expect(again.length).toBeGreaterThanOrEqual(3);
	expect([Math.max(...again), notifier.lost]).toEqual([0, 0]);
}, 30_000);

test("what is too old is given up, counted and said; what comes later arrives", async () => {
	let isThere = false;
	const heard: number[] = [];
	const away = await receiver("inform", (message) => {
		if (!isThere) return [];
		heard.push(upTimeOf(message));
		return [acknowledged(message)];
	});
	const words: string[] = [];
	let idle = 0;
	const notifier = notifierTo([away.settings], {
		lifetimeMs: 2_500,
		onTrouble: (_address, trouble) => words.push(trouble),
		onReachedAgain: (_address, lost) => words.push(`again, ${lost} lost`),
		onIdle: () => idle++,
	});
	for (let count = 0; count < 50; count++) notifier.send({ ...notification, upMs: 10 });
	await Bun.sleep(2_000);
	notifier.send({ ...notification, upMs: 20 });
	await eventually("the first is given up", () => notifier.lost > 0, 10_000);
	// All of its age with it: an attempt for each would take the longer the more there are.
	expect(notifier.lost).toBe(50);
	isThere = true;
	notifier.send({ ...notification, upMs: 30 });
	await eventually("the young ones arrive", () => heard.length === 2 && notifier.isIdle);
	expect(heard).toEqual([2, 3]);
	expect(words).toEqual(["no answer within 1000 ms", expect.stringContaining("given up"), "again, 50 lost"]);
	expect(idle).toBe(1);
	isThere = false;
	notifier.send({ ...notification, upMs: 40 });
	await eventually("nothing is on its way once it is given up", () => idle === 2, 10_000);
	expect(notifier.lost).toBe(51);
}, 30_000);

test("a thousand transitions are no thousand questions to VRRP", async () => {
	const folder = mkdtempSync(join(tmpdir(), "drover-watcher-"));
	process.env["DROVER_RUN_DIR"] = folder;
	let asked = 0;
	const server = serve("vrrp", {
		status: {
			input: { safeParse: (data: unknown) => ({ success: true, data }) },
			handle: () => {
				asked++;
				return { instances: [], syncGroups: [] };
			},
		} as never,
	});
	const told = nothingTold();
	const events: unknown[] = [];
	const end = watchBox({
		onEvent: (event) => events.push(event),
		toldUntilMs: 0,
		onTold: () => {},
		told,
	});
	await eventually("the first look", () => asked > 0);
	for (let index = 0; index < 1_000; index++) {
		const [from, to] = index % 2 === 0 ? ["BACKUP", "MASTER"] : ["MASTER", "BACKUP"];
		server.publish({ kind: "transition", atMs: index, instance: `VI_${index % 10}`, from, to, reason: "" });
		if (index % 10 === 9) await Bun.sleep(1);
	}
	server.publish({ kind: "transition", atMs: 0, instance: "last", from: "INIT", to: "FAULT", reason: "" });
	await eventually("the last event", () => told.instances["last"] === "FAULT");
	for (let before = -1; before !== asked; await Bun.sleep(200)) before = asked;
	expect(asked).toBeLessThan(200);
	end();
	server.close();
	rmSync(folder, { recursive: true, force: true });
});
