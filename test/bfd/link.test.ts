/** How VRRP and the checks hear of sessions: over the BFD service's own socket, whenever it is there. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BfdLink } from "../../firmware/bfd/link.ts";
import { bfdMethods } from "../../firmware/bfd/methods.ts";
import { type BusServer, serve } from "../../firmware/bus/server.ts";
import type { BfdSessionStatus } from "../../firmware/status/bfd.ts";

const before = process.env["DROVER_RUN_DIR"];
const directory = mkdtempSync(join(tmpdir(), "drover-bfd-link-"));
let server: BusServer | null = null;
let link: BfdLink | null = null;

afterEach(() => {
	link?.close();
	server?.close();
	rmSync(directory, { recursive: true, force: true });
	if (before === undefined) delete process.env["DROVER_RUN_DIR"];
	else process.env["DROVER_RUN_DIR"] = before;
});

const session = (name: string, up: boolean, sides: Partial<BfdSessionStatus> = {}): BfdSessionStatus => ({
	name,
	neighbor: "192.0.2.2",
	source: null,
	state: up ? "Up" : "Down",
	remoteState: "Up",
	up,
	reason: "",
	sinceMs: 0,
	localDiscriminator: 1,
	remoteDiscriminator: 2,
	transmitIntervalMs: 10,
	detectionTimeMs: 50,
	forVrrp: true,
	forChecker: true,
	...sides,
});

async function until(what: string, holds: () => boolean): Promise<void> {
	const deadline = Date.now() + 10_000;
	while (!holds()) {
		if (Date.now() > deadline) throw new Error(`${what}: not within 10 s`);
		await Bun.sleep(10);
	}
}

test("the state now, each change, through a restart of the service; one side's sessions only", async () => {
	process.env["DROVER_RUN_DIR"] = directory;
	let sessions = [session("a", true), session("vrrp's", true, { forChecker: false })];
	const start = () => {
		server = serve(
			"bfd",
			bfdMethods(
				() => ({ configFile: "", sessions, discarded: 0 }),
				() => "",
			),
		);
	};
	const heard: string[] = [];
	link = new BfdLink("checker");
	link.watch("vrrp's", () => heard.push("not for checks"));
	const stop = link.watch("a", (up) => heard.push(`a ${up}`));
	// It may come later than those who follow it.
	await Bun.sleep(50);
	start();
	await until("the first state", () => heard.length === 1);
	server!.publish({ kind: "session", name: "a", up: false, reason: "", forVrrp: true, forChecker: true });
	server!.publish({
		kind: "session",
		name: "vrrp's",
		up: false,
		reason: "",
		forVrrp: true,
		forChecker: false,
	});
	await until("the change", () => heard.length === 2);
	// What happened while the service was away is heard when it is back.
	server!.close();
	sessions = [session("a", true)];
	start();
	await until("the state after the restart", () => heard.length === 3);
	stop();
	server!.publish({ kind: "session", name: "a", up: false, reason: "", forVrrp: true, forChecker: true });
	await Bun.sleep(50);
	expect(heard).toEqual(["a true", "a false", "a true"]);
});
