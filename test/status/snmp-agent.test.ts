/** The SNMP agent and what strangers send it: answers where they are due, of bounded size, and nothing else. */
import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test";
import crypto from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { startAgent, WAITING_LIMIT } from "../../firmware/status/snmp/agent.ts";
import { type Instance, integer, parseOid, text, View } from "../../firmware/status/snmp/view.ts";
import { Random } from "../fuzz/mutate.ts";

const ENGINE_ID = Buffer.from("80001f888001020304050607", "hex");
const ENGINE_BOOTS = 7;
const ENGINE_SECONDS = 1_000;
const SYS_LOCATION = "1.3.6.1.2.1.1.6.0";
const SECRET = "rack 7";
const ROWS = 400;
/** An unfragmented datagram on Ethernet. */
const DATAGRAM_BYTES = 1_472;
const SETTLE_MS = 150;
const ANSWER_LIMIT_MS = 5_000;

const view = new View([
	{ oid: parseOid(SYS_LOCATION), value: text(SECRET) },
	...Array.from(
		{ length: ROWS },
		(_, row): Instance => ({ oid: parseOid(`1.3.6.1.2.1.2.2.1.2.${row + 1}`), value: text("x".repeat(100)) }),
	),
	{ oid: parseOid("1.3.6.1.2.1.2.1.0"), value: integer(ROWS) },
]);

let port: number;
let stop: () => void;
let client: Socket;
let answers: Buffer[] = [];
let refused: string[] = [];
/** How long a look at the box takes. */
let lookMs = 0;
let looks = 0;

beforeAll(async () => {
	client = createSocket("udp4");
	await new Promise<void>((resolve) => client.bind(0, "127.0.0.1", resolve));
	client.on("message", (message) => answers.push(message));
	// A number that is free now.
	const other = createSocket("udp4");
	await new Promise<void>((resolve) => other.bind(0, "127.0.0.1", resolve));
	port = other.address().port;
	await new Promise<void>((resolve) => other.close(resolve));
	stop = startAgent({
		address: "127.0.0.1",
		port,
		engineId: ENGINE_ID,
		engineBoots: ENGINE_BOOTS,
		communities: ["watch"],
		users: [
			{
				name: "nms",
				auth: "sha256",
				authPassword: "correct horse",
				privacy: "aes",
				privacyPassword: "battery staple",
			},
		],
		sources: ["127.0.0.0/8"],
		engineSeconds: () => ENGINE_SECONDS,
		view: async () => {
			looks++;
			if (lookMs > 0) await Bun.sleep(lookMs);
			return view;
		},
		onRefused: (_from, why) => refused.push(why),
	});
	await until(async () => (await ask(v2c(get(1, SYS_LOCATION)))).length === 1);
});

afterAll(() => {
	stop();
	client.close();
});

async function until(holds: () => Promise<boolean>): Promise<void> {
	for (let tries = 0; tries < 1_000; tries++) if (await holds()) return;
	throw new Error("the agent does not answer");
}

/** Sends a message; what comes back within a while, or as soon as `enough` answers have come. */
async function ask(message: Uint8Array, enough = Number.POSITIVE_INFINITY): Promise<readonly Buffer[]> {
	answers = [];
	client.send(message, port, "127.0.0.1");
	const limitMs = enough === Number.POSITIVE_INFINITY ? SETTLE_MS : ANSWER_LIMIT_MS;
	for (const end = performance.now() + limitMs; performance.now() < end && answers.length < enough; )
		await Bun.sleep(2);
	return answers;
}

/** What it answers, that it is there and answers as ever: it takes questions one after the other. */
async function answersBefore(message: Uint8Array): Promise<readonly Buffer[]> {
	const well = v2c(get(4711, SYS_LOCATION));
	answers = [];
	client.send(message, port, "127.0.0.1");
	client.send(well, port, "127.0.0.1");
	await until(async () => {
		await Bun.sleep(5);
		return answers.some((answer) => answer.includes(int(4711)) && answer.includes(SECRET));
	});
	return answers.filter((answer) => !answer.includes(int(4711)));
}

// BER (X.690) as far as SNMP goes.
const ber = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
	const content = Buffer.concat(parts);
	const { length } = content;
	const head = length < 128 ? [tag, length] : [tag, 0x82, length >> 8, length & 255];
	return Buffer.concat([Uint8Array.from(head), content]);
};
const int = (value: number): Buffer => {
	const octets: number[] = [];
	let rest = BigInt(value);
	do {
		octets.unshift(Number(rest & 255n));
		rest >>= 8n;
	} while (!((rest === 0n && octets[0]! < 128) || (rest === -1n && octets[0]! >= 128)));
	return ber(2, Uint8Array.from(octets));
};
const octets = (value: string | Uint8Array) => ber(4, Buffer.from(value));
const oid = (dotted: string): Buffer => {
	const [a, b, ...rest] = parseOid(dotted);
	const parts = rest.flatMap((part) => {
		const bytes = [part & 127];
		for (let left = part >>> 7; left > 0; left >>>= 7) bytes.unshift((left & 127) | 128);
		return bytes;
	});
	return ber(6, Uint8Array.from([a! * 40 + b!, ...parts]));
};
/** RFC 3416 §3: two numbers behind the request-id, then names without values. */
const pdu = (tag: number, id: number, first: number, second: number, ...names: readonly string[]): Buffer =>
	ber(tag, int(id), int(first), int(second), ber(0x30, ...names.map((name) => ber(0x30, oid(name), ber(5)))));
const get = (id: number, ...names: readonly string[]) => pdu(0xa0, id, 0, 0, ...names);
const getBulk = (nonRepeaters: number, repetitions: number, ...names: readonly string[]) =>
	pdu(0xa5, 1, nonRepeaters, repetitions, ...names);
const v2c = (question: Uint8Array, community = "watch", version = 1) =>
	ber(0x30, int(version), octets(community), question);

const REPORTABLE = 4;
const ENCRYPTED = 2;
/** RFC 3412 §6 with RFC 3414 §2.4; what is said to be encrypted is noise. */
const v3 = (
	question: Uint8Array,
	{ flags = REPORTABLE, user = "", engineId = ENGINE_ID as Uint8Array, id = 1 } = {},
) => {
	const secret = (flags & ENCRYPTED) !== 0;
	const usm = [octets(engineId), int(ENGINE_BOOTS), int(ENGINE_SECONDS), octets(user), octets("")];
	return ber(
		0x30,
		int(3),
		ber(0x30, int(id), int(65_507), octets(Uint8Array.of(flags)), int(3)),
		octets(ber(0x30, ...usm, octets(new Uint8Array(secret ? 8 : 0)))),
		secret ? octets(new Uint8Array(48)) : ber(0x30, octets(engineId), octets(""), question),
	);
};
const isReport = (answer: Buffer) =>
	answer.includes(Uint8Array.of(0xa8, answer.length - answer.indexOf(0xa8) - 2));

describe("RFC 3414 §3.2: no value without a user's password", () => {
	const questions = {
		get: get(1, SYS_LOCATION),
		getNext: pdu(0xa1, 1, 0, 0, "1.3.6.1.2.1.1"),
		getBulk: getBulk(0, 10, "1.3.6.1.2.1.1"),
		set: pdu(0xa3, 1, 0, 0, SYS_LOCATION),
	};
	test.each(Object.keys(questions) as (keyof typeof questions)[])(
		"%s of nobody, of this engine and this moment",
		async (name) => {
			refused = [];
			const told = await ask(v3(questions[name]));
			expect(told).toHaveLength(1);
			expect(isReport(told[0]!)).toBe(true);
			expect(told[0]!.includes(SECRET)).toBe(false);
			expect(refused).toEqual(["an unknown user"]);
		},
	);
	test("§7.1 of RFC 3412: one that wants no report gets nothing at all", async () => {
		for (const user of ["", "nms", "stranger"])
			for (const question of Object.values(questions))
				expect(await answersBefore(v3(question, { flags: 0, user }))).toEqual([]);
	});
	test("a known user without authentication, or without privacy", async () => {
		for (const flags of [REPORTABLE, REPORTABLE | 1]) {
			const told = await ask(v3(questions.get, { user: "nms", flags }));
			expect(told.some((answer) => answer.includes(SECRET))).toBe(false);
		}
	});
	test("§4: who looks for the engine is told its ID", async () => {
		const [report] = await ask(v3(get(1), { engineId: new Uint8Array(0) }), 1);
		expect(report!.includes(ENGINE_ID)).toBe(true);
	});
	test("step 3: so is who means another engine; no key is made for that one", async () => {
		const elsewhere = { engineId: Buffer.from("8000000001020304", "hex"), user: "nms", id: 4_711 };
		const [report] = await ask(v3(questions.get, { ...elsewhere, flags: REPORTABLE | 3 }), 1);
		expect(report!.includes(ENGINE_ID)).toBe(true);
		expect(report!.includes(int(4_711))).toBe(true);
		expect(await answersBefore(v3(questions.get, { ...elsewhere, flags: 3 }))).toEqual([]);
		// A key is a hash over a mebibyte, and the library keeps it for good.
		const hashes = spyOn(crypto, "createHash");
		for (let engine = 0; engine < 50; engine++) {
			elsewhere.engineId.writeUInt32BE(engine, 4);
			client.send(v3(questions.get, { ...elsewhere, flags: REPORTABLE | 3 }), port, "127.0.0.1");
		}
		await answersBefore(v3(questions.get, { ...elsewhere, flags: 3 }));
		// The library passes over what a sequence's tag and length say; a second header hides behind the first.
		const odd = v3(questions.get, { ...elsewhere, flags: 3 });
		odd[odd.indexOf(0x30, 4)] = 0x31;
		await answersBefore(odd);
		const usm = octets(
			ber(
				0x30,
				octets(elsewhere.engineId),
				int(1),
				int(1),
				octets("nms"),
				octets(""),
				octets(new Uint8Array(8)),
			),
		);
		const mine = octets(
			ber(0x30, octets(ENGINE_ID), int(1), int(1), octets("nms"), octets(""), octets(new Uint8Array(8))),
		);
		const header = [int(1), int(65_507), octets(Uint8Array.of(7)), int(3)];
		await answersBefore(
			ber(
				0x30,
				int(3),
				ber(0x30, ...header, usm, octets(new Uint8Array(48))),
				mine,
				octets(new Uint8Array(48)),
			),
		);
		expect(hashes).not.toHaveBeenCalled();
		hashes.mockRestore();
	});
});

describe("never an answer where none is due", () => {
	test.each<[string, Buffer]>([
		["version 1", v2c(get(1, SYS_LOCATION), "watch", 0)],
		["a version that there is not", v2c(get(1, SYS_LOCATION), "watch", 2)],
		["another one", v2c(get(1, SYS_LOCATION), "watch", 77)],
		["a wrong community", v2c(get(1, SYS_LOCATION), "watc")],
		["a community's beginning", v2c(get(1, SYS_LOCATION), "watch\0")],
		["a response", v2c(pdu(0xa2, 1, 0, 0, SYS_LOCATION))],
		["an inform", v2c(pdu(0xa6, 1, 0, 0, SYS_LOCATION))],
		["a trap", v2c(pdu(0xa7, 1, 0, 0, SYS_LOCATION))],
		["a report", v2c(pdu(0xa8, 1, 0, 0, SYS_LOCATION))],
		["a report of version 3", v3(pdu(0xa8, 1, 0, 0, SYS_LOCATION), { flags: 0 })],
		["nothing", Buffer.alloc(0)],
		["a request-id over 32 bits", v2c(get(2 ** 40, SYS_LOCATION))],
		["an unsigned request-id", v2c(get(2 ** 31 + 5, SYS_LOCATION))],
		["a msgID over 32 bits, of nobody", v3(get(1, SYS_LOCATION), { id: 2 ** 40 })],
		["a msgID over 32 bits, of a stranger", v3(get(1, SYS_LOCATION), { id: 2 ** 40, user: "stranger" })],
		["a msgID over 32 bits, of a known user", v3(get(1, SYS_LOCATION), { id: 2 ** 31, user: "nms" })],
	])("%s", async (_title, message) => {
		expect(await answersBefore(message)).toEqual([]);
	});
});

describe("the size of an answer", () => {
	const ROW = "1.3.6.1.2.1.2.2.1.2";
	test.each([
		[0, 2 ** 31 - 1],
		[0, -1],
		[-5, 50],
		[2 ** 31 - 1, 50],
	])(
		"GETBULK with non-repeaters %d and max-repetitions %d fits one datagram",
		async (nonRepeaters, repetitions) => {
			const [answer] = await ask(v2c(getBulk(nonRepeaters, repetitions, ROW, ROW)), 1);
			expect(answer!.length).toBeLessThanOrEqual(DATAGRAM_BYTES);
		},
	);
	test("RFC 3416 §4.2.3: negative numbers count as 0", async () => {
		const [negative] = await ask(v2c(getBulk(-1, 3, ROW, SYS_LOCATION)), 1);
		const [zero] = await ask(v2c(getBulk(0, 3, ROW, SYS_LOCATION)), 1);
		expect(negative).toEqual(zero!);
	});
	test.each<[string, Buffer]>([
		["GET", get(1, ...Array.from({ length: 128 }, (_, row) => `${ROW}.${row + 1}`))],
		["GETNEXT", pdu(0xa1, 1, 0, 0, ...Array.from({ length: 128 }, () => ROW))],
		["GETBULK's non-repeaters", getBulk(128, 1, ...Array.from({ length: 128 }, () => ROW))],
		["GETBULK's first row", getBulk(0, 1, ...Array.from({ length: 128 }, () => ROW))],
	])("%s for more than 8 KiB is told tooBig, with no variable", async (_title, question) => {
		const [answer] = await ask(v2c(question), 1);
		expect(answer!.length).toBeLessThan(64);
		// error-status tooBig(1).
		expect(answer!.includes(Buffer.concat([int(1), int(0), ber(0x30)]))).toBe(true);
	});
});

test("4,000 torn and patched questions: none ends the agent, none is told what it may not know", async () => {
	const random = new Random(1);
	const strangers = [
		v3(get(1, SYS_LOCATION)),
		v3(getBulk(0, 10, "1.3.6"), { user: "nms" }),
		v3(get(1, SYS_LOCATION), { user: "nms", flags: 7 }),
		v3(get(1), { engineId: new Uint8Array(0) }),
		v2c(get(1, SYS_LOCATION), "public"),
		v2c(getBulk(0, 10, "1.3.6"), "public"),
	];
	answers = [];
	let sent = 0;
	for (let round = 0; round < 4_000; round++) {
		let message = Buffer.from(random.pick(strangers));
		for (let count = random.below(4); count >= 0; count--) {
			const at = random.below(message.length);
			const piece = message.subarray(at, at + random.below(20));
			switch (random.below(5)) {
				case 0:
					message[at] = random.below(256);
					break;
				case 1:
					message = message.subarray(0, at + 1);
					break;
				case 2:
					message = Buffer.concat([message.subarray(0, at), piece, message.subarray(at)]);
					break;
				case 3:
					message = Buffer.concat([message.subarray(0, at), message.subarray(at + piece.length)]);
					break;
				default:
					message = Buffer.concat([message, Buffer.alloc(random.below(1_000), random.below(256))]);
			}
			if (message.length === 0) message = Buffer.of(0x30);
		}
		client.send(message, port, "127.0.0.1");
		sent++;
		if (round % 50 === 0) await Bun.sleep(1);
	}
	await Bun.sleep(SETTLE_MS);
	expect(answers.length).toBeLessThanOrEqual(sent);
	expect(answers.filter((answer) => answer.includes(SECRET) || answer.includes("xxxxxxxx"))).toEqual([]);
	expect(Math.max(0, ...answers.map(({ length }) => length))).toBeLessThan(256);
	expect(await answersBefore(v2c(get(1, SYS_LOCATION), "public"))).toEqual([]);
}, 30_000);

test("a flood while the box is slow to be looked at: what is over the limit is dropped", async () => {
	lookMs = 400;
	looks = 0;
	answers = [];
	const question = v2c(getBulk(0, 50, "1.3.6"));
	for (let round = 0; round < 2_000; round++) {
		client.send(question, port, "127.0.0.1");
		if (round % 100 === 0) await Bun.sleep(1);
	}
	await Bun.sleep(2 * lookMs);
	lookMs = 0;
	expect(looks).toBeGreaterThan(100);
	expect(looks).toBeLessThanOrEqual(2 * WAITING_LIMIT);
	expect(answers.length).toBeLessThanOrEqual(looks);
	expect(await answersBefore(v2c(get(1, SYS_LOCATION), "public"))).toEqual([]);
}, 30_000);
