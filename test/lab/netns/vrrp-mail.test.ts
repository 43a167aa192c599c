/** keepalived.conf(5) smtp_alert, smtp_server, notification_email: the same letters as keepalived writes, to a real SMTP server. */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "./network.ts";
import { type Letter, openPostOffice } from "./post-office.ts";
import { type Box, instanceText, Lab } from "./vrrp-lab.ts";

const text = `global_defs {
	router_id LVS_DEVEL
	notification_email {
		ops@example.net
		second@example.net
	}
	notification_email_from director@example.net
	smtp_server 192.0.2.3 2525
	smtp_connect_timeout 5
}
vrrp_sync_group G1 {
	group {
		VI_1
	}
	smtp_alert
}
${instanceText({ priority: 100, version: 3, interval: 0.2, more: "smtp_alert\ntrack_interface {\neth1\n}" })}${instanceText({ name: "VI_2", virtualRouterId: 52, priority: 100, version: 3, interval: 0.2, addresses: ["192.0.2.201/24"], more: "smtp_alert" })}`;

/** Of one life: started, elected, a tracked interface down. */
async function letters(run: (box: Box) => void): Promise<Letter[]> {
	using lab = new Lab("mail");
	const box = lab.box("box", 1);
	const post = lab.box("post", 3);
	const read = await openPostOffice(post.namespace, "192.0.2.3", post.folder);
	box.namespace.ip("link", "add", "eth1", "type", "veth", "peer", "name", "far1");
	for (const name of ["eth1", "far1"]) box.namespace.ip("link", "set", name, "up");
	run(box);
	await eventually(
		"letters of both routers",
		() => {
			const all = read().map((letter) => letter.text);
			return ["VI_1", "VI_2", "G1"].every((name) =>
				all.some((each) => new RegExp(`${name} - .*MASTER`).test(each)),
			);
		},
		30_000,
	);
	box.namespace.ip("link", "set", "far1", "down");
	await eventually(
		"a letter about the fault",
		() =>
			read().some((letter) => /VI_1 - .*FAULT/.test(letter.text)) &&
			read().some((letter) => /G1 - .*FAULT/.test(letter.text)),
		30_000,
	);
	return [...read()];
}

/** What does not depend on the hour. */
const told = (letter: Letter) => ({ ...letter, text: letter.text.replace(/^Date: .*$/m, "Date:") });
const bySubject = (a: Letter, b: Letter) => (a.text < b.text ? -1 : 1);

test("smtp_alert: instance and group, sender, recipients, subject and body are keepalived's", async () => {
	const [ours, theirs] = await Promise.all([
		letters((box) => box.drover(text, "--no-standby")),
		letters((box) => box.keepalived(text)),
	]);
	expect(ours.map(told).sort(bySubject)).toEqual(theirs.map(told).sort(bySubject));
	expect(ours.length).toBeGreaterThan(2);
}, 60_000);

const suppressed = (instances: string) => `global_defs {
	router_id LVS_DEVEL
	notification_email {
		ops@example.net
	}
	notification_email_from director@example.net
	smtp_server 192.0.2.3 2525
	no_email_faults
	smtp_alert
}
${instances}`;
const first = (deleted = "") =>
	instanceText({ priority: 100, version: 3, interval: 0.2, more: `track_interface {\neth1\n}\n${deleted}` });
const second = (deleted: string) =>
	instanceText({
		name: "VI_2",
		virtualRouterId: 52,
		priority: 100,
		version: 3,
		interval: 0.2,
		addresses: ["192.0.2.201/24"],
		more: deleted,
	});

/** Of one life: elected, a fault that nobody is told of, elected again, an instance deleted by a reload. */
async function subjects(
	kind: "drover" | "keepalived",
	deleted: string,
): Promise<{ told: string[]; atTheEnd: string[] }> {
	using lab = new Lab("mail-faults");
	const box = lab.box("box", 1);
	const post = lab.box("post", 3);
	const read = await openPostOffice(post.namespace, "192.0.2.3", post.folder);
	const all = () => read().map(({ text }) => /^Subject: \[LVS_DEVEL\] (.*?)\r?$/m.exec(text)?.[1] ?? "none");
	box.namespace.ip("link", "add", "eth1", "type", "veth", "peer", "name", "far1");
	for (const name of ["eth1", "far1"]) box.namespace.ip("link", "set", name, "up");
	const before = suppressed(first() + second(deleted));
	const running = kind === "drover" ? box.drover(before, "--no-standby") : box.keepalived(before);
	const masters = () => running.log().match(/\(VI_1\) Entering MASTER STATE/g)?.length ?? 0;
	await eventually("both are master", () => all().filter((each) => /MASTER/.test(each)).length === 2, 30_000);
	box.namespace.ip("link", "set", "far1", "down");
	await eventually("it has a fault", () => /\(VI_1\) Entering FAULT STATE/.test(running.log()), 30_000);
	box.namespace.ip("link", "set", "far1", "up");
	await eventually("it is master again", () => masters() === 2, 30_000);
	// keepalived drops letters that are on their way when it reads its file again.
	await eventually("all letters are there", () => all().length === 6, 30_000);
	writeFileSync(kind === "drover" ? box.configFile : join(box.folder, "real.conf"), suppressed(first()));
	running.process.kill("SIGHUP");
	if (deleted !== "")
		await eventually("the deleted one is told of", () => all().some((each) => /Deleted/.test(each)), 30_000);
	else await eventually("it is deleted", () => !box.has("192.0.2.201"), 30_000);
	await Bun.sleep(1_000);
	const told = all();
	await running.stop();
	await Bun.sleep(500);
	return { told: told.sort(), atTheEnd: all().slice(told.length) };
}

test.each(["", "notify_deleted"])(
	"no_email_faults, an instance that a reload deletes (%s), and a stop: told of in keepalived's words",
	async (deleted) => {
		const [ours, theirs] = await Promise.all([subjects("drover", deleted), subjects("keepalived", deleted)]);
		expect(ours.told).toEqual(theirs.told);
		// keepalived has the same words for it, and ends before they have left.
		expect(ours.atTheEnd).toEqual(["VRRP Instance VI_1 - Stopping"]);
		expect(theirs.atTheEnd).toEqual([]);
	},
	120_000,
);
