/**
 * Records which pages of Bun a start of the two services touches, in a booted director: `bun image/start-pages/record.ts`
 * writes start-pages.txt. To be run when Bun is another one, and now and then when much of the two has changed.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { build } from "../build.ts";
import { Lab, presetConfiguration } from "../lab/lab.ts";
import { buildIdOf, gatherable } from "./gathered-executable.ts";
import { formatPageList, runsOf } from "./page-runs.ts";
import { startPagesPath } from "./start-pages.ts";

/**
 * Between two runs, so many pages are taken along. Measured: with 0 pages there are some 930 runs in 15 MB, with 4 there
 * are 410 in 19 MB, with 16 there are 170 in 27 MB; each run is a system call and a mapping of every process.
 */
const GAP_PAGES = 4;
const START_LIMIT_MS = 120_000;

/** In the guest: the pages of its executable that each of these processes has, one number per line. */
const script = `
const fs = require("node:fs");
for (const pid of process.argv.slice(1)) {
	const pagemap = fs.openSync("/proc/" + pid + "/pagemap", "r");
	for (const line of fs.readFileSync("/proc/" + pid + "/maps", "utf8").split("\\n")) {
		if (!line.endsWith("/usr/lib/drover/bun")) continue;
		const [first, end] = line.split(" ")[0].split("-").map((word) => parseInt(word, 16) / 4096);
		const entries = Buffer.alloc((end - first) * 8);
		fs.readSync(pagemap, entries, 0, entries.length, first * 8);
		// Documentation/admin-guide/mm/pagemap.rst: bit 63, the page is present.
		for (let page = first; page < end; page++) if (entries[(page - first) * 8 + 7] & 0x80) console.log(page);
	}
}`;

const boot = await build({ release: false, onProgress: (line) => console.error(line) });
const lab = await Lab.start({ boot });
try {
	await lab.ready();
	await lab.directors.b.powerOff();
	const address = /virtual_ipaddress\s*{\s*([\d.]+)/.exec(presetConfiguration("a")["keepalived.conf"]!)![1]!;
	const { agent } = lab.directors.a;
	// A fault maps the one page that was asked for, and no page around it.
	await agent.run(
		"mkdir -p /sys/kernel/debug; mount -t debugfs none /sys/kernel/debug; echo 4096 >/sys/kernel/debug/fault_around_bytes",
	);
	await agent.run("sv -w 30 restart /run/sv/director /run/sv/vrrp", START_LIMIT_MS);
	await agent.run(`until ip address | grep -qF ${address}/; do sleep 0.2; done; sleep 2`, START_LIMIT_MS);
	const output = await agent.run(
		`BUN_BE_BUN=1 /usr/lib/drover/bun -e '${script}' $(cat /run/sv/director/supervise/pid /run/sv/vrrp/supervise/pid)`,
		START_LIMIT_MS,
	);
	const pages = [...new Set(output.trim().split("\n").map(Number))].sort((a, b) => a - b);
	const bun = readFileSync(process.execPath);
	const runs = gatherable(bun, runsOf(pages, GAP_PAGES));
	writeFileSync(startPagesPath, formatPageList({ buildId: buildIdOf(bun), runs }));
	const gathered = runs.reduce((sum, run) => sum + run.pages, 0);
	console.log(`${pages.length} pages touched; ${runs.length} runs of ${gathered} pages`);
} finally {
	await lab.stop();
}
