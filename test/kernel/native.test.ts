/** The shim's system calls: exact errors, and no argument that could bring the process down. */
import { afterAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { EAGAIN, EINVAL, ESRCH } from "../../firmware/kernel/errno.ts";
import { native } from "../../firmware/kernel/native.ts";
import {
	decodeSocketAddress,
	internetAddress,
	SOCKADDR_STORAGE_BYTES,
} from "../../firmware/kernel/sockaddr.ts";

const EBADF = 9;
const AF_INET = 2;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;
const opened: number[] = [];

function udpSocket(): number {
	const fd = native.socket(AF_INET, SOCK_DGRAM, 0);
	expect(native.bind(fd, internetAddress("127.0.0.1", 0))).toBe(0);
	opened.push(fd);
	return fd;
}

afterAll(() => {
	for (const fd of opened) native.close(fd);
});

describe("errors are exact", () => {
	test.each([
		["close", () => native.close(-1), EBADF],
		["bind", () => native.bind(-1, internetAddress("127.0.0.1", 0)), EBADF],
		["sendTo", () => native.sendTo(-1, new Uint8Array(1)), EBADF],
		["receiveFrom", () => native.receiveFrom(udpSocket(), new Uint8Array(1), MSG_DONTWAIT), EAGAIN],
		["read", () => native.read(-1, new Uint8Array(1)), EBADF],
		["setSocketOption", () => native.setSocketOption(udpSocket(), 1, 2, new Uint8Array(0)), EINVAL],
		["attachFilter of nothing", () => native.attachFilter(udpSocket(), new Uint8Array(7)), EINVAL],
		["attachFilter over the limit", () => native.attachFilter(udpSocket(), new Uint8Array(4097 * 8)), EINVAL],
		[
			"connectStart without an address",
			() => native.connectStart(new Uint8Array(0), null, 0, null, false),
			EINVAL,
		],
		["waitProcess of nobody's child", () => native.waitProcess(1), 10],
		["waitProcess(0)", () => native.waitProcess(0), EINVAL],
		["processDescriptor", () => native.processDescriptor(2 ** 22 + 1), ESRCH],
		["inotifyAddWatch", () => native.inotifyAddWatch(-1, "/", 1), EBADF],
		["a path with NUL", () => native.setNetworkNamespace("a\0b"), EINVAL],
	])("%s", (_, call, errno) => {
		expect(call()).toBe(-errno);
	});
});

test("a datagram with its control messages: sendmsg(2) out, recvmsg(2) in, sender and time stamp told", () => {
	const [from, to] = [udpSocket(), udpSocket()];
	const SO_TIMESTAMPNS = 35;
	expect(native.setSocketOption(to, 1, SO_TIMESTAMPNS, Uint8Array.of(1, 0, 0, 0))).toBe(0);
	const before = native.realtimeMicros();
	expect(native.sendMessage(from, Uint8Array.of(1, 2, 3), native.getSocketName(to), null, 0)).toBe(3);
	const [data, name, control] = [
		new Uint8Array(10),
		new Uint8Array(SOCKADDR_STORAGE_BYTES),
		new Uint8Array(64),
	];
	const lengths = new Int32Array(3);
	expect(native.receiveMessage(to, data, name, control, lengths, 0)).toBe(3);
	expect(data.subarray(0, 3)).toEqual(Uint8Array.of(1, 2, 3));
	expect(decodeSocketAddress(name.subarray(0, lengths[0]!))).toEqual(
		decodeSocketAddress(native.getSocketName(from)),
	);
	const view = new DataView(control.buffer, 0, lengths[1]!);
	expect([view.getInt32(8, true), view.getInt32(12, true)]).toEqual([1, SO_TIMESTAMPNS]);
	const stamp = Number(view.getBigInt64(16, true)) * 1e6 + Number(view.getBigInt64(24, true)) / 1e3;
	expect(stamp).toBeGreaterThanOrEqual(before - 1);
	expect(stamp).toBeLessThanOrEqual(native.realtimeMicros() + 1);
	expect(native.receiveMessage(to, data, name, control, new Int32Array(2), MSG_DONTWAIT)).toBe(-EINVAL);
});

test("an orphan that a subreaper inherits: -EAGAIN while it runs, then its wait status, then nobody's", async () => {
	const PR_SET_CHILD_SUBREAPER = 36;
	expect(native.processControl(PR_SET_CHILD_SUBREAPER, 1)).toBe(0);
	const shell = Bun.spawn(["sh", "-c", "sh -c 'sleep 0.3; exit 7' >/dev/null & echo $!"], { stdout: "pipe" });
	const orphan = Number(await shell.stdout.text());
	await shell.exited;
	expect(native.waitProcess(orphan)).toBe(-EAGAIN);
	let status = -EAGAIN;
	for (let tries = 0; tries < 500 && status === -EAGAIN; tries++) {
		await Bun.sleep(10);
		status = native.waitProcess(orphan);
	}
	expect(status >> 8).toBe(7);
	expect(native.waitProcess(orphan)).toBeLessThan(0);
	native.processControl(PR_SET_CHILD_SUBREAPER, 0);
});

test("arbitrary bytes and numbers are answered with an errno, never with the end of the process", () => {
	const bytes = fc.uint8Array({ maxLength: 300 });
	const number = fc.oneof(fc.integer({ min: -3, max: 300 }), fc.integer());
	const fd = udpSocket();
	const thread = new native.RealTime(0);
	const receiver = thread.receiverCreate(fd, AF_INET, 1, true);
	const watch = thread.watchCreate(receiver, 7, 0);
	const repeat = thread.repeatCreate();
	const float = fc.oneof(fc.double(), fc.constantFrom(0, -1, 1, Number.MAX_VALUE, Number.POSITIVE_INFINITY));
	fc.assert(
		fc.property(bytes, bytes, number, number, float, (first, second, level, name, time) => {
			expect(native.attachFilter(-1, first)).toBeLessThan(0);
			native.setSocketOption(-1, level, name, first);
			native.getSocketOptionBytes(fd, level, name, second.slice());
			native.connect(-1, first);
			native.bind(-1, first);
			native.sendMessage(-1, first, second, first, 0);
			expect(thread.watchPin(watch, first, time)).toBeLessThanOrEqual(0);
			expect(
				thread.watchPin(watch, Uint8Array.of(first.length & 255, 0, 0, 0, 1, ...first), time),
			).toBeLessThanOrEqual(0);
			thread.watchRearm(watch, time, level >>> 0);
			thread.watchStartOnExpiry(watch, repeat, time);
			thread.repeatSet(repeat, [[{ fd: -1, address: first, data: second }]], []);
			thread.repeatStart(repeat, time, time);
			thread.repeatStatistics(name >>> 0, true);
			thread.watchStatistics(level >>> 0);
			thread.renewLease(time);
			thread.take(second);
			thread.settle();
		}),
		{ numRuns: 500 },
	);
	expect(thread.watchStatistics(watch)).toHaveLength(7);
	expect(thread.receiverDelete(receiver)).toBe(0);
	expect(thread.receiverDelete(receiver)).toBe(-2);
	expect(thread.watchStatistics(watch)).toHaveLength(0);
	thread.close();
});

test("clocks go forward and agree with JavaScript's", () => {
	const first = native.monotonicMicros();
	expect(native.monotonicMicros()).toBeGreaterThanOrEqual(first);
	expect(Math.abs(native.realtimeMicros() / 1000 - Date.now())).toBeLessThan(1000);
});
