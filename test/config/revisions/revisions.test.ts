/** Configuration revisions: commit, confirm, roll back, and power loss at every step of each. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { leftToConfirmMs } from "../../../firmware/config/revisions/deadline.ts";
import { fileDisk } from "../../../firmware/config/revisions/disk.ts";
import {
	type CommitRequest,
	HISTORY_LIMIT,
	RevisionError,
	Revisions,
} from "../../../firmware/config/revisions/revisions.ts";
import { FragileDisk, PowerLoss } from "./fragile-disk.ts";

const text = (value: string) => new TextEncoder().encode(value);
const commitOf = (content: string, more: Partial<CommitRequest> = {}): CommitRequest => ({
	files: new Map([
		["keepalived.conf", text(content)],
		["appliance.toml", text(`# ${content}`)],
	]),
	who: "operator",
	from: "console",
	why: "test",
	nowMs: 1_000,
	confirmWithinMs: null,
	...more,
});
const running = (revisions: Revisions) => {
	const number = revisions.currentNumber();
	return number === null ? null : new TextDecoder().decode(revisions.files(number).get("keepalived.conf"));
};

/** Takes no more than `limitBytes`; a file that does not fit is there in part. */
class FullDisk extends FragileDisk {
	limitBytes = Number.POSITIVE_INFINITY;
	override write(path: string, bytes: Uint8Array): void {
		super.remove(path);
		const room = Math.max(0, this.limitBytes - this.usedBytes);
		super.write(path, bytes.subarray(0, room));
		if (bytes.length > room) throw Object.assign(new Error("write"), { code: "ENOSPC" });
	}
}

function store(disk = new FragileDisk()) {
	const revisions = new Revisions(disk);
	revisions.recover();
	return revisions;
}

describe("on a real file system", () => {
	test("commit, compare, roll back", () => {
		const root = mkdtempSync(join(tmpdir(), "drover-revisions-"));
		try {
			const revisions = new Revisions(fileDisk(root));
			revisions.recover();
			expect(running(revisions)).toBeNull();
			revisions.commit(commitOf("one"));
			revisions.commit(commitOf("two"));
			expect(running(revisions)).toBe("two");
			revisions.rollback(1, {
				who: "operator",
				from: "ssh 10.0.0.7",
				why: "two was wrong",
				nowMs: 2_000,
				confirmWithinMs: null,
			});
			expect(running(new Revisions(fileDisk(root)))).toBe("one");
			expect(revisions.history().map(({ number, from, why, parent }) => [number, from, why, parent])).toEqual(
				[
					[3, "ssh 10.0.0.7", "rollback to 1: two was wrong", 2],
					[2, "console", "test", 1],
					[1, "console", "test", null],
				],
			);
		} finally {
			rmSync(root, { recursive: true });
		}
	});
});

describe("commit confirm", () => {
	test("confirmed: stays", () => {
		const revisions = store();
		revisions.commit(commitOf("one"));
		revisions.commit(commitOf("two", { confirmWithinMs: 60_000 }));
		expect(revisions.confirm()).toBe(2);
		expect(revisions.expire(1e12)).toBeNull();
		expect(running(revisions)).toBe("two");
	});
	test("not confirmed in time: goes back by itself, not before", () => {
		const revisions = store();
		revisions.commit(commitOf("one"));
		revisions.commit(commitOf("two", { confirmWithinMs: 60_000 }));
		expect(revisions.expire(60_999)).toBeNull();
		expect(running(revisions)).toBe("two");
		expect(revisions.expire(61_000)?.revision).toBe(2);
		expect(running(revisions)).toBe("one");
	});
	test("its time is the box's uptime: a clock that is set makes it neither shorter nor longer", () => {
		const revisions = store();
		revisions.commit(commitOf("one"));
		revisions.commit(commitOf("two", { confirmWithinMs: 60_000, uptimeMs: 5_000 }));
		const pending = revisions.pending()!;
		for (const nowMs of [0, 1_000, 7_200_000])
			expect(leftToConfirmMs(pending, { nowMs, uptimeMs: 20_000 })).toBe(45_000);
	});
	test("a commit of a firmware that noted the clock's time only goes by the clock", () => {
		const pending = { revision: 2, previous: 1, deadlineMs: 61_000 };
		expect(leftToConfirmMs(pending, { nowMs: 1_000, uptimeMs: 5 })).toBe(60_000);
	});
	test("not confirmed before a restart: goes back at the restart", () => {
		const revisions = store();
		revisions.commit(commitOf("one"));
		revisions.commit(commitOf("two", { confirmWithinMs: 60_000 }));
		expect(revisions.recover()?.revision).toBe(2);
		expect(running(revisions)).toBe("one");
		expect(revisions.pending()).toBeNull();
	});
	test("a second commit is refused while one waits", () => {
		const revisions = store();
		revisions.commit(commitOf("one"));
		revisions.commit(commitOf("two", { confirmWithinMs: 60_000 }));
		expect(() => revisions.commit(commitOf("three"))).toThrow(
			"revision 2 still waits for its confirmation (operator, console: test): confirm it or roll it back first",
		);
	});
	test("nothing to confirm is said", () => {
		expect(() => store().confirm()).toThrow("no commit waits");
	});
});

describe("two operators", () => {
	test("files that were made from another revision than the one in force are refused", () => {
		const revisions = store();
		revisions.commit(commitOf("one"));
		revisions.commit(commitOf("two", { madeFrom: 1 }));
		expect(() => revisions.commit(commitOf("three", { madeFrom: 1 }))).toThrow(
			"revision 2 came into force meanwhile",
		);
		expect(running(revisions)).toBe("two");
	});
	test("a disk that somebody else holds is waited for, and no longer than its limit", () => {
		const root = mkdtempSync(join(tmpdir(), "drover-revisions-"));
		try {
			const [one, other] = [fileDisk(root, 50), fileDisk(root, 50)];
			expect(one.exclusively(() => "mine")).toBe("mine");
			one.exclusively(() => {
				expect(() => other.exclusively(() => "both")).toThrow("somebody else is changing the configuration");
				expect(() => new Revisions(other).commit(commitOf("x"))).toThrow(RevisionError);
			});
			expect(other.exclusively(() => "mine")).toBe("mine");
		} finally {
			rmSync(root, { recursive: true });
		}
	});
	test("a waiting commit whose revision is not in force waits for nothing, and nothing can be confirmed", () => {
		const disk = new FragileDisk();
		const revisions = store(disk);
		revisions.commit(commitOf("one"));
		disk.write("pending.json", text(JSON.stringify({ revision: 2, previous: 1, deadlineMs: 9e15 })));
		expect(() => revisions.confirm()).toThrow("no commit waits");
		revisions.commit(commitOf("two"));
		expect(running(revisions)).toBe("two");
	});
});

describe("limits and damage", () => {
	test("a full disk is said, gets its room back, and what runs stays", () => {
		const disk = new FullDisk();
		const revisions = store(disk);
		revisions.commit(commitOf("one"));
		disk.limitBytes = disk.usedBytes + 5;
		expect(() => revisions.commit(commitOf("two"))).toThrow("the disk is full: nothing was changed");
		expect(disk.list("revisions")).toEqual(["1"]);
		expect(disk.usedBytes).toBe(disk.limitBytes - 5);
		expect(running(revisions)).toBe("one");
	});
	test("a full disk refuses no way back: room was kept for it, and is kept again when there is some", () => {
		const disk = new FullDisk();
		const revisions = store(disk);
		const back = (number: number) =>
			revisions.rollback(number, { who: "o", from: "f", why: "", nowMs: 1, confirmWithinMs: 60_000 });
		revisions.commit(commitOf("one"));
		revisions.commit(commitOf("two"));
		const kept = disk.read("reserve")!.length;
		disk.limitBytes = disk.usedBytes;
		back(1);
		expect(running(revisions)).toBe("one");
		expect(revisions.expire(Number.POSITIVE_INFINITY)?.revision).toBe(3);
		back(1);
		revisions.confirm();
		expect(running(revisions)).toBe("one");
		disk.limitBytes = Number.POSITIVE_INFINITY;
		revisions.commit(commitOf("three"));
		expect(disk.read("reserve")!.length).toBeGreaterThanOrEqual(kept);
	});
	test("a small disk without room for a reserve works without one", () => {
		const disk = new FullDisk();
		disk.limitBytes = 4_000;
		const revisions = store(disk);
		revisions.commit(commitOf("one"));
		expect(running(revisions)).toBe("one");
		expect(disk.read("reserve")).toBeNull();
	});
	test(`${HISTORY_LIMIT} revisions are kept, the rescue revision always`, () => {
		const revisions = store();
		revisions.commit(commitOf("rescue"));
		revisions.setRescue(1);
		for (let index = 0; index < HISTORY_LIMIT + 20; index++) revisions.commit(commitOf(`${index}`));
		const numbers = revisions.history().map(({ number }) => number);
		expect(numbers.length).toBe(HISTORY_LIMIT + 1);
		expect(numbers.at(-1)).toBe(1);
	});
	test.each(["../etc/passwd", "", ".hidden", "a/b", "revision.json"])(
		"the file name %p is refused",
		(name) => {
			expect(() => store().commit(commitOf("x", { files: new Map([[name, text("x")]]) }))).toThrow(
				RevisionError,
			);
		},
	);
	test("a file that changed behind our back is named", () => {
		const disk = new FragileDisk();
		const revisions = store(disk);
		revisions.commit(commitOf("one"));
		disk.write("revisions/1/keepalived.conf", text("two"));
		expect(() => revisions.files(1)).toThrow(
			"revision 1 is damaged: keepalived.conf is not what was committed",
		);
	});
});

describe("power loss at every step: the old revision or the new one, whole", () => {
	const random = (seed: number) => () => {
		seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
		return seed / 2 ** 32;
	};
	const acts: Readonly<
		Record<string, { readonly act: (revisions: Revisions) => void; readonly after: readonly string[] }>
	> = {
		commit: { act: (revisions) => void revisions.commit(commitOf("new")), after: ["old", "new"] },
		"commit confirm": {
			act: (revisions) => void revisions.commit(commitOf("new", { confirmWithinMs: 1 })),
			after: ["old"],
		},
		rollback: {
			act: (revisions) =>
				void revisions.rollback(1, { who: "o", from: "f", why: "", nowMs: 1, confirmWithinMs: null }),
			after: ["old", "first"],
		},
		"rollback confirm": {
			act: (revisions) =>
				void revisions.rollback(1, { who: "o", from: "f", why: "", nowMs: 1, confirmWithinMs: 9 }),
			after: ["old"],
		},
		"commit confirm, and the confirmation": {
			act: (revisions) => {
				revisions.commit(commitOf("new", { confirmWithinMs: 1 }));
				revisions.confirm();
			},
			after: ["old", "new"],
		},
		"commit confirm, and its end": {
			act: (revisions) => {
				revisions.commit(commitOf("new", { confirmWithinMs: 1 }));
				revisions.expire(Number.POSITIVE_INFINITY);
			},
			after: ["old"],
		},
		rescue: { act: (revisions) => revisions.setRescue(1), after: ["old"] },
	};
	test.each(Object.keys(acts))("%s", (name) => {
		const { act, after } = acts[name]!;
		const prepare = (cutAt?: number) => {
			const disk = new FragileDisk();
			const revisions = store(disk);
			revisions.commit(commitOf("first"));
			revisions.commit(commitOf("old"));
			return disk.afterPowerLoss(random(1), cutAt);
		};
		const whole = prepare();
		act(new Revisions(whole));
		for (let cutAt = 0; cutAt < whole.steps; cutAt++)
			for (let seed = 0; seed < 20; seed++) {
				const disk = prepare(cutAt);
				expect(() => act(new Revisions(disk))).toThrow(PowerLoss);
				const revisions = store(disk.afterPowerLoss(random(seed)));
				expect(after).toContain(running(revisions)!);
				// and it can be used: a second recovery changes nothing, a commit works
				expect(revisions.recover()).toBeNull();
				revisions.commit(commitOf("next"));
				expect(running(revisions)).toBe("next");
			}
	});
});
