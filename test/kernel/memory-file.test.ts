/** Memory of malloc storage: nameless, of huge pages where there are some, never more than was asked for. */
import { expect, test } from "bun:test";
import { closeSync, fstatSync, ftruncateSync, readlinkSync, writeSync } from "node:fs";
import { openMemory } from "../../firmware/kernel/memory-file.ts";
import { hasHugeMemory, hugeBytesOf } from "./huge-bytes.ts";

const MB = 1 << 20;

test.each([1, 64])("%d MB: the descriptor is the only way to it", (size) => {
	const fd = openMemory(size * MB);
	try {
		expect(readlinkSync(`/proc/self/fd/${fd}`)).toEndWith(" (deleted)");
		ftruncateSync(fd, size * MB);
		const map = Bun.mmap(`/proc/self/fd/${fd}`, { shared: true });
		map[size * MB - 1] = 7;
		const other = Bun.mmap(`/proc/self/fd/${fd}`, { shared: true });
		expect(other[size * MB - 1]).toBe(7);
	} finally {
		closeSync(fd);
	}
});

test.skipIf(!hasHugeMemory)(
	"a large one is in huge pages, also mapped from the middle; what is not used takes nothing",
	() => {
		const size = 65 * MB + 4096;
		const fd = openMemory(size);
		const path = `/proc/self/fd/${fd}`;
		try {
			ftruncateSync(fd, size);
			const middle = 7 * MB + 12_288;
			const map = Bun.mmap(path, { shared: true, offset: middle, size: size - middle });
			map[10 * MB] = 1;
			map[10 * MB + 3 * MB] = 1;
			expect(hugeBytesOf("self", path)).toBe(4 * MB);
			// The end of the file is none of a huge page's.
			map[map.length - 1] = 1;
			expect(fstatSync(fd).blocks * 512).toBe(4 * MB + 4096);
		} finally {
			closeSync(fd);
		}
	},
);

test.skipIf(!hasHugeMemory)("the memory of a large one ends with its size, whatever the file claims", () => {
	const size = 64 * MB;
	const fd = openMemory(size);
	try {
		ftruncateSync(fd, size + 8 * MB);
		const block = new Uint8Array(MB);
		let written = 0;
		expect(() => {
			for (; written < size + 8 * MB; written += MB) writeSync(fd, block, 0, MB, written);
		}).toThrow("ENOSPC");
		expect(written).toBe(size);
	} finally {
		closeSync(fd);
	}
});
