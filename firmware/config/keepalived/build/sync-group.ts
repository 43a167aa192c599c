/** vrrp_sync_group: instances that change state together. keepalived.conf(5), "VRRP synchronization group(s)". */
import type { SyncGroupConfig, VrrpInstanceConfig } from "../../model.ts";
import { nearest } from "../diagnostics.ts";
import { lineOf } from "../source.ts";
import type { Statement } from "../statement.ts";
import { Settings } from "./block.ts";
import type { BuildContext } from "./context.ts";
import { buildReferences, type Trackers } from "./tracking.ts";
import { readNotify } from "./vrrp-instance.ts";

export function buildSyncGroups(
	context: BuildContext,
	root: readonly Statement[],
	trackers: Trackers,
	instances: readonly VrrpInstanceConfig[],
): SyncGroupConfig[] {
	const groups: SyncGroupConfig[] = [];
	const groupOf = new Map<string, string>();
	const known = new Map(instances.map((instance) => [instance.name, instance]));
	root.forEach((statement, index) => {
		if (statement.keyword.name !== "vrrp_sync_group") return;
		const name = statement.words[0]!;
		const title = `sync group ${name}`;
		if (groups.some((group) => group.name === name)) {
			context.error(statement, "duplicate-name", `${title} is defined twice`, "the second one");
			return;
		}
		const settings = new Settings(statement.body!);
		const members: string[] = [];
		let lost = 0;
		for (const line of settings.all("group").flatMap((block) => block.lines!))
			for (const member of line.words) {
				const written = root.find(
					({ keyword, words }) => keyword.name === "vrrp_instance" && words[0] === member,
				);
				if (!known.has(member) && written !== undefined) {
					lost++;
					context.warn(
						line,
						"lost-name",
						`${title}: vrrp_instance ${member} is lost: see line ${lineOf(written.at)}`,
					);
				} else if (!known.has(member)) {
					const similar = nearest(member, known.keys());
					context.error(
						line,
						"unknown-name",
						`${title}: there is no vrrp_instance ${member}`,
						`${member} is in no group`,
						{
							...(similar === null ? {} : { suggestion: `did you mean "${similar}"?` }),
						},
					);
				} else if (groupOf.has(member))
					context.error(
						line,
						"two-groups",
						groupOf.get(member) === name
							? `${title}: ${member} stands twice`
							: `${title}: ${member} is in sync group ${groupOf.get(member)} already`,
						`${member} in ${title}`,
					);
				else {
					groupOf.set(member, name);
					members.push(member);
				}
			}
		if (members.length === 0) {
			if (lost === 0)
				context.error(
					statement,
					"empty-group",
					`${title} has no instance`,
					"the whole group and its notify scripts",
				);
			return;
		}
		if (members.length === 1 && lost === 0)
			context.warn(
				statement,
				"one-member",
				`${title} has only ${members[0]}: there is nothing to synchronise`,
			);
		const references = buildReferences(context, settings, trackers, { title, index, interface: null });
		groups.push({
			name,
			members,
			...references,
			trackingWeight: settings.has("sync_group_tracking_weight") || settings.has("global_tracking"),
			notify: readNotify(context, settings),
			notifyPriorityChanges:
				settings.boolean("notify_priority_changes") ?? context.globals.notifyPriorityChanges,
			smtpAlert:
				settings.boolean("smtp_alert") ?? context.globals.smtpAlertVrrp ?? context.globals.smtpAlert ?? false,
			location: context.locate(statement),
		});
	});
	return groups;
}
