/**
 * keepalived.conf(5) smtp_alert, no_checker_emails: the letters about checks and real servers, beside keepalived's,
 * to a real SMTP server. A letter names the state of the real server, also when it was another check that changed.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KeepalivedCheckers } from "./health-peer.ts";
import { bunPath, eventually, Network } from "./network.ts";
import { openPostOffice } from "./post-office.ts";

const DROVER = join(import.meta.dir, "../../../firmware/drover.ts");
const LIMIT_MS = 30_000;

const configuration = (folder: string, global: string) => `global_defs {
	router_id LVS
	notification_email {
		ops@example.net
	}
	notification_email_from director@example.net
	smtp_server 127.0.0.1 2525
	script_user root
	${global}
}
virtual_server 10.9.0.100 80 {
	delay_loop 1
	lb_algo rr
	lb_kind NAT
	protocol TCP
	real_server 10.9.0.1 80 {
		weight 1
${["a", "b"].map((name) => `		MISC_CHECK {\n			misc_path "/usr/bin/test -e ${join(folder, name)}"\n		}`).join("\n")}
	}
}
`;

/** Of one life with two checks: the first goes, the other goes, the first is back, the other is back. */
async function subjects(who: "drover" | "keepalived", global: string): Promise<string[]> {
	using network = Network.create("post");
	const box = network.namespace("box");
	box.ip("link", "set", "lo", "up");
	const folder = mkdtempSync(join(tmpdir(), "drover-post-"));
	const path = (name: string) => join(folder, name);
	const read = await openPostOffice(box, "127.0.0.1", folder);
	for (const name of ["a", "b"]) writeFileSync(path(name), "");
	const text = configuration(folder, global);
	const keepalived = who === "keepalived" ? new KeepalivedCheckers(box, text) : null;
	writeFileSync(path("keepalived.conf"), text);
	writeFileSync(path("log"), "");
	if (keepalived === null)
		box.spawn([bunPath, DROVER, "director", "-f", path("keepalived.conf")], {
			env: { ...process.env, DROVER_LOG: path("log"), DROVER_RUN_DIR: folder },
		});
	const heard = (pattern: RegExp) =>
		(keepalived?.log() ?? readFileSync(path("log"), "utf8")).match(pattern)?.length ?? 0;
	const changes = () => heard(/"MISC_CHECK |Misc check for /g);
	await eventually("the start", () => heard(/Gained quorum|check for .* succeeded/g) >= 1, LIMIT_MS);
	// keepalived calls a script's first success a change.
	if (keepalived !== null) await eventually("both have passed", () => changes() === 2, LIMIT_MS);
	for (const [name, there] of [
		["a", false],
		["b", false],
		["a", true],
		["b", true],
	] as const) {
		const before = changes();
		if (there) writeFileSync(path(name), "");
		else rmSync(path(name));
		await eventually(`check ${name} has seen it`, () => changes() > before, LIMIT_MS);
	}
	const seen = () => {
		const all = read().map(({ text }) => /^Subject: (.*?)\r?$/m.exec(text)?.[1] ?? "none");
		const first = all.findIndex((subject) => subject.endsWith("DOWN"));
		return first < 0 ? [] : all.slice(first);
	};
	await eventually("the last letter", () => seen().at(-1)?.endsWith("UP") === true, LIMIT_MS);
	const letters = seen();
	await keepalived?.stop();
	rmSync(folder, { recursive: true, force: true });
	return letters;
}

const letter = (state: string) =>
	`[LVS] Realserver [10.9.0.1]:tcp:80 of virtual server [10.9.0.100]:tcp:80 - ${state}`;

test.each([
	["smtp_alert: each change of a check", "", ["DOWN", "DOWN", "DOWN", "UP"]],
	["no_checker_emails: only those of the real server", "no_checker_emails", ["DOWN", "UP"]],
])(
	"%s",
	async (_title, global, states) => {
		const [ours, theirs] = await Promise.all([subjects("drover", global), subjects("keepalived", global)]);
		expect(theirs).toEqual(states.map(letter));
		expect(ours).toEqual(theirs);
	},
	120_000,
);
