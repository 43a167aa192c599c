/** Sockets in batches: what is received, what is told of a stream's end, what the kernel does not take. */
import { afterAll, expect, test } from "bun:test";
import { native } from "../../firmware/kernel/native.ts";
import { pollerOf, RECEIVE_BYTES, StreamSet } from "../../firmware/kernel/stream-set.ts";

type Socket = Bun.Socket & { readonly fd: number };
const accepted: Socket[] = [];
const listener = Bun.listen({
	hostname: "127.0.0.1",
	port: 0,
	allowHalfOpen: true,
	socket: { open: (socket: Bun.Socket) => void accepted.push(socket as Socket), data() {} },
} as never) as Bun.TCPSocketListener;
afterAll(() => listener.stop(true));

/** Both ends of a connection; the runtime reads neither. */
async function pair(): Promise<{ ours: Socket; theirs: Socket }> {
	const theirs = await Bun.connect({ hostname: "127.0.0.1", port: listener.port, socket: { data() {} } });
	while (accepted.length === 0) await Bun.sleep(1);
	const ours = accepted.pop()!;
	ours.pause();
	theirs.pause();
	return { ours, theirs: theirs as Socket };
}

const shortOf: [number, number][] = [];
const makeSet = () => new StreamSet((token, rest) => void shortOf.push([token, rest.length]));
const text = (set: StreamSet, index: number) => set.bytes(index)?.toString();

test("all that have news are received from at once, each by its token; who has none is not there", async () => {
	const set = makeSet();
	const pairs = [await pair(), await pair(), await pair()];
	pairs.forEach(({ ours }, index) => {
		set.add(ours.fd, 10 + index);
	});
	expect(set.receive(0)).toBe(0);
	pairs[0]!.theirs.write("one");
	pairs[2]!.theirs.write("three");
	await Bun.sleep(5);
	expect(set.receive(0)).toBe(2);
	const got = [0, 1].map((index) => [set.token(index), text(set, index), set.isOver(index)]);
	expect(got.sort()).toEqual([
		[10, "one", false],
		[12, "three", false],
	]);
	expect(set.receive(0)).toBe(0);
});

test("of each it is told how much of its end is that of the one before", async () => {
	const set = makeSet();
	const pairs = await Promise.all(Array.from({ length: 6 }, pair));
	for (const [index, { ours }] of pairs.entries()) set.add(ours.fd, index + 1);
	const ending = (text: string, other: string) => {
		let same = 0;
		while (same < Math.min(text.length, other.length) && text.at(-1 - same) === other.at(-1 - same)) same++;
		return same;
	};
	for (let round = 0; round < 300; round++) {
		const long = "end of it ".repeat(Math.floor(Math.random() * 60));
		const sent = pairs.filter(() => Math.random() < 0.8);
		for (const { theirs } of sent) {
			const cut = Math.random() < 0.3 ? 0 : Math.floor(Math.random() * long.length);
			const turned = Math.random() < 0.5 ? "" : "X";
			theirs.write(`${Math.random() < 0.5 ? "a" : "bc"}${long.slice(0, cut)}${turned}${long.slice(cut)}`);
		}
		let got = 0;
		for (let waits = 0; got < sent.length; waits++) {
			expect(waits).toBeLessThan(1000);
			const count = set.receive(1);
			got += count;
			for (let index = 0; index < count; index++) {
				const expected = index === 0 ? 0 : ending(text(set, index)!, text(set, index - 1)!);
				expect(set.commonEnd(index)).toBe(expected);
			}
		}
	}
	pairs[0]!.theirs.write("the same");
	pairs[1]!.theirs.end();
	pairs[2]!.theirs.write("the same");
	await Bun.sleep(5);
	const count = set.receive(0);
	for (let index = 1; index < count; index++)
		if (set.bytes(index) === undefined || set.bytes(index - 1) === undefined)
			expect(set.commonEnd(index)).toBe(0);
});

test("what waited before the socket came into the set is news; twice is refused", async () => {
	const set = makeSet();
	const { ours, theirs } = await pair();
	theirs.write("early");
	await Bun.sleep(5);
	set.add(ours.fd, 1);
	expect(() => set.add(ours.fd, 2)).toThrow("EEXIST");
	expect(set.receive(0)).toBe(1);
	expect(text(set, 0)).toBe("early");
	set.remove(ours.fd);
	theirs.write("late");
	await Bun.sleep(5);
	expect(set.receive(0)).toBe(0);
});

test("the end of a stream, and more than is received at once, are told; nothing is lost", async () => {
	const set = makeSet();
	const { ours, theirs } = await pair();
	set.add(ours.fd, 1);
	theirs.write("x".repeat(RECEIVE_BYTES + 5));
	await Bun.sleep(5);
	expect(set.receive(0)).toBe(1);
	expect([set.bytes(0)!.length, set.isOver(0)]).toEqual([RECEIVE_BYTES, true]);
	const rest = new Uint8Array(100);
	expect(native.read(ours.fd, rest)).toBe(5);
	theirs.end();
	await Bun.sleep(5);
	expect(set.receive(0)).toBe(1);
	expect([set.bytes(0), set.isOver(0)]).toEqual([undefined, true]);
});

test("what is put leaves with the batch, in order; what the kernel does not take is told", async () => {
	const set = makeSet();
	const { ours, theirs } = await pair();
	const got: string[] = [];
	theirs.reload({ socket: { data: (_, bytes) => void got.push(bytes.toString()) } });
	theirs.resume();
	expect(set.put(ours.fd, 7, Buffer.from("-a-"), 1, 2)).toBe(true);
	expect(set.put(ours.fd, 7, Buffer.from("b"), 0, 1)).toBe(true);
	expect(set.put(ours.fd, 7, Buffer.alloc(1 << 20), 0, 1 << 20)).toBe(false);
	set.flush();
	while (got.join("").length < 2) await Bun.sleep(1);
	expect(got.join("")).toBe("ab");
	theirs.pause();
	const large = Buffer.alloc(200_000);
	for (let count = 0; shortOf.length === 0; count++) {
		expect(count).toBeLessThan(1000);
		expect(set.put(ours.fd, 7, large, 0, large.length)).toBe(true);
		set.flush();
	}
	const [token, left] = shortOf.pop()!;
	expect(token).toBe(7);
	expect(left).toBeGreaterThan(0);
	expect(left).toBeLessThanOrEqual(large.length);
});

test("a descriptor that is no socket's takes nothing", () => {
	const set = makeSet();
	expect(() => set.add(-1, 1)).toThrow();
	expect(set.put(-1, 9, Buffer.from("lost"), 0, 4)).toBe(true);
	set.flush();
	expect(shortOf.pop()).toEqual([9, 4]);
});

test("a wait ends when the event loop has something to do", async () => {
	const set = makeSet();
	const { ours, theirs } = await pair();
	const loop = pollerOf((listener as unknown as { fd: number }).fd);
	expect(loop).toBeNumber();
	expect(pollerOf(1_000_000)).toBeUndefined();
	set.interruptBy(loop!);
	set.add(ours.fd, 1);
	const waited = () => {
		const began = performance.now();
		expect(set.receive(2000)).toBe(0);
		return performance.now() - began;
	};
	const child = Bun.spawn(["sleep", "0.1"]);
	const tookMs = waited();
	expect(tookMs).toBeLessThan(1500);
	await child.exited;
	theirs.write("x");
	await Bun.sleep(5);
	expect(set.receive(2000)).toBe(1);
});
