/**
 * What follows from a notice: script, FIFO line, mail, log line and event, in keepalived's words
 * (check_daemon's ipwrapper.c and notify.c), so that log scrapers and FIFO readers go on working. Pure.
 */
import type { GlobalConfig, Script } from "../config/model.ts";
import type { DirectorEvent } from "../status/director.ts";
import { protocolName, realServerName, virtualServerName } from "./names.ts";
import type { Notice, Pool } from "./pool.ts";

export interface Announcement {
	readonly script: Script | null;
	/** With its line end; keepalived.conf(5) lvs_notify_fifo. */
	readonly fifoLine: string;
	/** The router id is put before the subject where the mail is sent. */
	readonly mail: Mail | null;
	readonly logLine: string;
	readonly event: DirectorEvent;
}

export interface Mail {
	readonly subject: string;
	readonly body: string;
}

/** A check that came or went while its server stayed what it was. */
export interface CheckNotice {
	readonly pool: Pool;
	readonly member: number;
	readonly reason: string;
}

/** What follows from it: a mail with the server's own state, unless no_checker_emails. */
export function checkMail({ pool, member, reason }: CheckNotice, perRealServerOnly: boolean): Mail | null {
	const server = pool.config.realServers[member]!;
	if (perRealServerOnly || !server.rules.smtpAlert) return null;
	return realServerMail(pool, member, pool.members[member]!.alive, reason);
}

function realServerMail({ config }: Pool, member: number, up: boolean, reason: string): Mail {
	const realServer = realServerName(config.realServers[member]!, protocolName(config));
	return {
		subject: `Realserver ${realServer} of virtual server ${virtualServerName(config)} - ${up ? "UP" : "DOWN"}`,
		body: `=> ${reason} <=`,
	};
}

/** Null for what nobody is told: a real server that is up from the start, without rs_init_notifies. */
export function announce(
	notice: Notice,
	global: Pick<GlobalConfig, "rsInitNotifies">,
	atMs: number,
): Announcement | null {
	const { config } = notice.pool;
	const virtualServer = virtualServerName(config);
	const state = notice.up ? "UP" : "DOWN";
	switch (notice.kind) {
		case "real-server": {
			if (notice.initial && notice.up && !global.rsInitNotifies) return null;
			const server = config.realServers[notice.member]!;
			const realServer = realServerName(server, protocolName(config));
			return {
				script: notice.up ? server.rules.notifyUp : server.rules.notifyDown,
				fifoLine: `RS ${realServer} ${virtualServer} ${state}\n`,
				mail: server.rules.smtpAlert
					? realServerMail(notice.pool, notice.member, notice.up, notice.letter ?? notice.reason)
					: null,
				logLine: `${inWords(notice, realServer, server.rules.inhibitOnFailure)} VS ${virtualServer}: ${notice.reason}`,
				event: {
					kind: "real-server",
					atMs,
					virtualServer,
					realServer,
					up: notice.up,
					...(notice.stopped ? { stopped: true } : {}),
					reason: notice.reason,
				},
			};
		}
		case "quorum": {
			const reason = notice.reason.charAt(0).toUpperCase() + notice.reason.slice(1);
			return {
				script: notice.up ? config.quorumUp : config.quorumDown,
				fifoLine: `VS ${virtualServer} ${state}\n`,
				mail: config.smtpAlert
					? {
							subject: `Virtualserver ${virtualServer} - ${state}`,
							body: `=> ${notice.letter} <=`,
						}
					: null,
				logLine: `${reason} for VS ${virtualServer}`,
				event: {
					kind: "quorum",
					atMs,
					virtualServer,
					realServer: null,
					up: notice.up,
					...(notice.stopped ? { stopped: true } : {}),
					reason: notice.reason,
				},
			};
		}
	}
}

/** keepalived's words, and for a server that was never up some of ours. */
function inWords(
	{ up, initial }: Extract<Notice, { kind: "real-server" }>,
	realServer: string,
	inhibits: boolean,
): string {
	if (initial && !up) return `Service ${realServer} stays out of`;
	if (inhibits) return `${up ? "Enabling" : "Disabling"} service ${realServer} of`;
	return up ? `Adding service ${realServer} to` : `Removing service ${realServer} from`;
}
