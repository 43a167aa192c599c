/** How the cache follows the director's verdicts: few questions in a storm of events, and the last word counts. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { method, serve } from "../../../firmware/bus/server.ts";
import { followDirector } from "../../../firmware/cache/service/director-verdicts.ts";
import { eventually } from "../../lab/netns/network.ts";

test("many servers that fail at once are a question or two, one at a time, and the last one sees them all", async () => {
	const before = process.env["DROVER_RUN_DIR"];
	const folder = mkdtempSync(join(tmpdir(), "drover-verdicts-"));
	process.env["DROVER_RUN_DIR"] = folder;
	const SERVERS = 200;
	let down = 0;
	let questions = 0;
	let [underWay, mostUnderWay] = [0, 0];
	const realServers = (count: number) =>
		Array.from({ length: SERVERS }, (_, index) => ({
			address: `10.0.0.${index}`,
			port: 80,
			checks: [{ up: index >= count }],
			override: null,
		}));
	const server = serve("director", {
		status: method(z.object({}), async () => {
			questions++;
			mostUnderWay = Math.max(mostUnderWay, ++underWay);
			const seen = realServers(down);
			await Bun.sleep(20);
			underWay--;
			return { virtualServers: [{ realServers: seen }] };
		}),
	});
	let verdicts: ReadonlyMap<string, boolean> = new Map();
	const end = followDirector((now) => {
		verdicts = now;
	});
	try {
		const upNow = () => [...verdicts.values()].filter((up) => up).length;
		await eventually("the first look is over", () => upNow() === SERVERS);
		const asked = questions;
		for (let index = 0; index < SERVERS; index++) {
			down++;
			server.publish({ kind: "down", realServer: index });
			if (index % 10 === 0) await Bun.sleep(1);
		}
		// Sooner than the look that comes by itself.
		await eventually("all are seen to be down", () => upNow() === 0, 3_000);
		expect(mostUnderWay).toBe(1);
		expect(questions - asked).toBeLessThan(SERVERS / 4);
	} finally {
		end();
		server.close();
		if (before === undefined) delete process.env["DROVER_RUN_DIR"];
		else process.env["DROVER_RUN_DIR"] = before;
		rmSync(folder, { recursive: true, force: true });
	}
});
