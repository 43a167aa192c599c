/** `drover vrrp --after-director`: at a box's start nothing is taken before the director has its table. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serve } from "../../../firmware/bus/server.ts";
import { directorAnswers } from "../../../firmware/vrrp/after-director.ts";
import { bunPath, eventually } from "./network.ts";
import { instanceText, Lab, watchAdverts } from "./vrrp-lab.ts";

const DROVER = join(import.meta.dir, "../../../firmware/drover.ts");
const text = (...addresses: string[]) =>
	instanceText({
		priority: 100,
		version: 3,
		interval: 0.1,
		addresses: addresses.map((each) => `${each}/24`),
	});

test("it only listens while the director is not there, goes by the newest file, and takes over when it is", async () => {
	using lab = new Lab("after");
	const box = lab.box("box", 1);
	const peer = lab.box("peer", 2);
	const capture = watchAdverts(peer.namespace);
	const drover = box.drover(text("192.0.2.200"), "--no-standby", "--after-director");
	// Its master down interval would be 0.3 s.
	await Bun.sleep(2_500);
	expect(box.has("192.0.2.200")).toBe(false);
	box.write(text("192.0.2.201"));
	drover.process.kill("SIGHUP");
	await Bun.sleep(500);
	expect(await box.instance()).toMatchObject({ state: "BACKUP" });
	expect(box.has("192.0.2.201")).toBe(false);
	expect(capture.text()).not.toContain("vrid 51");
	const director = box.namespace.spawn([bunPath, DROVER, "director", "-f", box.configFile], {
		env: {
			...process.env,
			DROVER_RUN_DIR: join(box.folder, "run"),
			DROVER_LOG: join(box.folder, "director.log"),
		},
	});
	await box.holds("192.0.2.201");
	expect(box.has("192.0.2.200")).toBe(false);
	expect(drover.log()).not.toContain("the director does not answer");
	await capture.close();
	// It is asked once in a start: what it does later is its own business.
	director.kill("SIGKILL");
	await Bun.sleep(1_000);
	expect(box.has("192.0.2.201")).toBe(true);
}, 60_000);

describe("the wait", () => {
	const directory = mkdtempSync(join(tmpdir(), "drover-after-"));
	const within = async <T>(work: () => Promise<T>): Promise<T> => {
		const before = process.env["DROVER_RUN_DIR"];
		process.env["DROVER_RUN_DIR"] = directory;
		try {
			return await work();
		} finally {
			if (before === undefined) delete process.env["DROVER_RUN_DIR"];
			else process.env["DROVER_RUN_DIR"] = before;
		}
	};

	test("has an end, when nobody answers", () =>
		within(async () => {
			const began = performance.now();
			expect(await directorAnswers(300, () => false)).toBe(false);
			expect(performance.now() - began).toBeGreaterThanOrEqual(290);
		}));

	test("ends with whoever waits", () =>
		within(async () => {
			let over = false;
			setTimeout(() => {
				over = true;
			}, 100);
			expect(await directorAnswers(600_000, () => over)).toBe(false);
		}));

	test("is over when the director answers", () =>
		within(async () => {
			const answer = directorAnswers(20_000, () => false);
			await Bun.sleep(200);
			const director = serve("director", {});
			expect(await answer).toBe(true);
			director.close();
			rmSync(directory, { recursive: true });
		}));
});

test("SIGTERM during the wait ends it", async () => {
	using lab = new Lab("term");
	const box = lab.box("box", 1);
	const drover = box.drover(text("192.0.2.200"), "--no-standby", "--after-director");
	await eventually("it reads its file", () => drover.process.pid > 0);
	await Bun.sleep(1_000);
	await drover.stop();
	expect(box.has("192.0.2.200")).toBe(false);
}, 30_000);
