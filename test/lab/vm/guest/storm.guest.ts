/**
 * The director in a storm: reloads, kill -9, new starts, strangers' hands in the table, in an order that a seed
 * decides. At its end the kernel's table is what the last file says, and what is not ours is as it was.
 */
import { afterAll, expect, test } from "bun:test";
import { catchesSignal } from "../../../../firmware/kernel/caught-signals.ts";
import { DirectorProcess, ipvsadm, saved, until } from "./box.ts";

const STEPS = 30;
const STRANGER = ["-A -t 10.99.0.1:99 -s rr", "-a -t 10.99.0.1:99 -r 192.168.99.1:99 -m -w 7"];
const seed = Number(process.env["DROVER_SEED"]);

/** mulberry32: whole numbers below `limit`, the same for the same seed. */
let state = seed;
function below(limit: number): number {
	state = (state + 0x6d2b79f5) | 0;
	let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
	mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
	return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
}

/** Some of the same few services and servers each time, as a file and as `ipvsadm -Sn` has them. */
function anyTable(): { readonly file: string; readonly lines: readonly string[] } {
	const file: string[] = [];
	const lines: string[] = [];
	for (let service = 1; service <= 5; service++) {
		if (below(4) === 0) continue;
		const scheduler = ["rr", "wrr", "wlc"][below(3)]!;
		file.push(`virtual_server 10.9.0.${service} 80 {\nlb_algo ${scheduler}\nlb_kind NAT\nprotocol TCP`);
		lines.push(`-A -t 10.9.0.${service}:80 -s ${scheduler}`);
		for (let server = 1; server <= 6; server++) {
			if (below(3) === 0) continue;
			const weight = 1 + below(4);
			file.push(`real_server 192.168.${service}.${server} 80 {\nweight ${weight}\n}`);
			lines.push(`-a -t 10.9.0.${service}:80 -r 192.168.${service}.${server}:80 -m -w ${weight}`);
		}
		file.push("}");
	}
	return { file: `${file.join("\n")}\n`, lines };
}

const director = new DirectorProcess();
afterAll(() => director.kill());

/** Without a handler it would end by a reload. */
const listens = () => until("the director listens", () => catchesSignal(director.pid, "SIGHUP"));

/** A stranger deletes, changes or adds something of ours. */
function meddle(): void {
	const ours = saved().filter((line) => !STRANGER.includes(line));
	const line = ours[below(Math.max(1, ours.length))];
	if (line === undefined) return;
	const [, option, address, , server] = line.split(" ");
	const deletes = below(2) === 0;
	try {
		if (line.startsWith("-A")) ipvsadm("-D", option!, address!);
		else if (deletes) ipvsadm("-d", option!, address!, "-r", server!);
		else ipvsadm("-e", option!, address!, "-r", server!, "-m", "-w", "99");
	} catch {
		// The director was quicker.
	}
}

test(`${STEPS} steps, seed ${seed}`, async () => {
	for (const line of STRANGER) ipvsadm(...line.split(" "));
	let wanted = anyTable();
	director.start(wanted.file);
	await listens();
	const steps: string[] = [];
	for (let step = 0; step < STEPS; step++) {
		const kind = below(6);
		switch (kind) {
			case 0:
			case 1:
				steps.push("reload");
				wanted = anyTable();
				director.write(wanted.file);
				director.signal("SIGHUP");
				break;
			case 2:
				steps.push("kill -9, another file, start");
				await director.kill();
				wanted = anyTable();
				director.start(wanted.file);
				await Bun.sleep(below(800));
				await listens();
				break;
			case 3:
				steps.push("kill -9, start");
				await director.kill();
				director.start();
				await listens();
				break;
			default:
				steps.push("meddle");
				meddle();
		}
		await Bun.sleep(below(120));
	}
	const table = () => saved().sort().join("\n");
	const expected = [...STRANGER, ...wanted.lines].sort().join("\n");
	await until(`the table of the last file, after ${steps.join("; ")}`, () => table() === expected).catch(
		(error: Error) => {
			expect(table(), error.message).toBe(expected);
		},
	);
	// And it stays so.
	await Bun.sleep(2_500);
	expect(table()).toBe(expected);
	expect(director.log()).not.toContain('"level":"fatal"');
}, 300_000);
