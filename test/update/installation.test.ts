/** What is remembered of an update, whatever becomes of it; and the choice of a start that nobody takes back. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { alone, installUpdate } from "../../firmware/update/installation.ts";
import { UpdateRecords } from "../../firmware/update/records.ts";
import { factorySlots, markGood, markTrial, rollBack } from "../../firmware/update/slots.ts";
import type { Working } from "../../firmware/update/trial.ts";
import { bundle, goodManifest, goodTarget, payloads, reader, Slot } from "./support.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-installation-"));
afterAll(() => rmSync(directory, { recursive: true }));
const before: Working = {
	services: ["vrrp"],
	links: ["eth0"],
	realServers: ["web > 10.0.0.1:80"],
	instances: ["VI_1"],
	revision: 7,
};

class Box {
	readonly records = new UpdateRecords(mkdtempSync(join(directory, "box-")));
	readonly slot = new Slot();
	readonly said: string[] = [];

	/** The reason why not; null once it is installed. */
	async install(bytes: Uint8Array): Promise<string | null> {
		const { records, slot, said } = this;
		return installUpdate({
			read: reader(bytes),
			target: goodTarget,
			slot: "B",
			partitions: slot.partitions,
			marks: slot,
			records,
			lookAtWorking: async () => before,
			say: (line) => said.push(line),
		}).then(
			() => null,
			(error: Error) => error.message,
		);
	}
}

describe("an update", () => {
	test("is remembered with what worked before it, and told as it goes", async () => {
		const box = new Box();
		expect(await box.install(bundle())).toBeNull();
		expect(box.records.trial()).toMatchObject({ slot: "B", version: "1.2.0", fromVersion: "1.1.9", before });
		expect(box.records.history()[0]).toMatchObject({ what: "installed", detail: "1.2.0 into slot B" });
		expect(box.said[0]).toBe('1.2.0 is signed by "test"; writing 3 MB into slot B');
		expect(box.said.at(-2)).toBe("100 %");
		expect(box.said.at(-1)).toStartWith("Slot B holds 1.2.0, read back and right.");
	});

	test("that waits for its first start is not forgotten over a file that is refused unread", async () => {
		const box = new Box();
		await box.install(bundle());
		for (const other of [Buffer.from("no firmware"), bundle({ ...goodManifest, version: "1.0.0" })])
			expect(await box.install(other)).toBeString();
		expect(box.slot.mark).toBe("trial");
		expect(box.slot.complete).toBe(true);
		expect(box.records.trial()).toMatchObject({ version: "1.2.0", before });
		expect(box.records.history().map(({ what }) => what)).toEqual(["refused", "refused", "installed"]);
	});

	test("that was overwritten by half of another one is", async () => {
		const box = new Box();
		await box.install(bundle());
		const reason = await box.install(bundle().subarray(0, -payloads.root.length / 2));
		expect(reason).toContain("cut short");
		expect(box.slot.mark).toBe("unusable");
		expect(box.records.trial()).toBeNull();
		expect(box.records.history()[0]).toMatchObject({ what: "refused", detail: reason! });
	});

	test("is alone: another one meanwhile is refused, and taken once it has ended", async () => {
		const own = mkdtempSync(join(directory, "lock-"));
		await alone(async () => {
			await expect(alone(async () => {}, own)).rejects.toThrow("another firmware is being installed");
		}, own);
		expect(await alone(async () => "installed", own)).toBe("installed");
		await expect(alone(() => Promise.reject(new Error("refused")), own)).rejects.toThrow("refused");
		expect(await alone(async () => "again", own)).toBe("again");
	});
});

describe("a slot that proves itself leaves the choice of the next start alone", () => {
	const updated = markTrial(factorySlots("1.0.0"), "B", "1.1.0");

	test("the operator has rolled back meanwhile", () => {
		expect(markGood(rollBack(updated, "B")!, "B").preferred).toBe("A");
	});
	test("the running one shows that it hangs no more, while an update waits for its start", () => {
		expect(markGood(updated, "A").preferred).toBe("B");
	});
});
