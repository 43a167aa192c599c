/** `drover syslog`: sends what the services and the kernel log to the receivers of appliance.toml (RFC 5424). */
import { readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { ApplianceSettings } from "../../appliance/settings/schema.ts";
import { method, serve } from "../../bus/server.ts";
import { runDirectory } from "../../bus/socket-path.ts";
import { openLog } from "../log.ts";
import { runOptionalService, toldToEnd } from "../optional-service.ts";
import { KernelLog } from "./kernel-log.ts";
import { formatMessage, type LogEntry, parseLogLine, SEVERITIES } from "./message.ts";
import { Receiver } from "./receiver.ts";
import { LogFollower, type Positions } from "./tail.ts";

const LOOK_INTERVAL_MS = 250;
const PLAIN_PORT = 514;
const TLS_PORT = 6514;

export async function main(words: readonly string[]): Promise<number> {
	return runOptionalService(
		{
			name: "syslog",
			about: "Sends the services' and the kernel's log to the receivers in appliance.toml.",
			options: { logs: { otherwise: "/run/log", about: "where the services' logs are" } },
			lacks: ({ syslog }) => (syslog.receivers.length > 0 ? null : "receivers"),
			run: ({ syslog }, { logs, config }) => forward(syslog, logs, dirname(config)),
		},
		words,
	);
}

async function forward(
	{ receivers: wanted, level, facility }: ApplianceSettings["syslog"],
	logs: string,
	folder: string,
): Promise<number> {
	const log = openLog("syslog");
	const receivers = wanted.map(({ host, port, transport, ca }) => {
		const options = {
			host,
			port: port ?? (transport === "tls" ? TLS_PORT : PLAIN_PORT),
			transport,
			ca: ca === undefined ? null : readFileSync(join(folder, ca), "utf8"),
		};
		return new Receiver({ ...options, onTrouble: (words) => log.warn({ receiver: host }, words) });
	});
	const positionsPath = join(runDirectory(), "syslog-positions.json");
	const follower = new LogFollower(logs, readPositions(positionsPath));
	const kernel = KernelLog.open();
	const threshold = SEVERITIES[level]!;
	const send = (entry: LogEntry) => {
		if (entry.severity > threshold) return;
		const message = formatMessage(entry, { hostname: hostname(), facility, nowMs: Date.now() });
		for (const receiver of receivers) receiver.send(message);
	};
	const look = () => {
		follower.read((service, line) => send(parseLogLine(service, line)));
		kernel?.read(send);
		writeFileSync(positionsPath, JSON.stringify(follower.positions()));
	};
	const bus = serve("syslog", {
		status: method(z.object({}), () => ({ receivers: receivers.map((receiver) => receiver.status()) })),
	});
	look();
	const timer = setInterval(look, LOOK_INTERVAL_MS);
	log.info({ receivers: wanted.map(({ host, transport }) => `${host} ${transport}`) }, "sending");
	await toldToEnd(log);
	clearInterval(timer);
	look();
	for (const receiver of receivers) receiver.close();
	kernel?.close();
	follower.close();
	bus.close();
	return 0;
}

const positionsSchema = z.record(z.string(), z.object({ inode: z.number(), offset: z.number() }));

function readPositions(path: string): Positions {
	try {
		return positionsSchema.parse(JSON.parse(readFileSync(path, "utf8")));
	} catch {
		// The first start since the box started: everything from its beginning.
		return {};
	}
}
