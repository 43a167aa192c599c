/** keepalived.conf(5) smtp_alert, smtp_server, notification_email: the same letters as keepalived writes, to a real SMTP server. */
import { expect, test } from "bun:test";
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
