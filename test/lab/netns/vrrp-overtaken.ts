/**
 * A service inside a test's namespace whose JavaScript stands still while the real-time thread takes over, and which is
 * told something else before it hears of that. `bun vrrp-overtaken.ts FILE OTHER_FILE`; prints JSON lines.
 */
import { loadConfig } from "../../../firmware/config/keepalived/load.ts";
import { native } from "../../../firmware/kernel/native.ts";
import { openLog } from "../../../firmware/status/log.ts";
import { VrrpService } from "../../../firmware/vrrp/service.ts";

export interface Overtaken {
	readonly when: "taken-over" | "retracted";
	readonly addresses: string;
	readonly state: string | null;
}

if (import.meta.main) {
	const [file, other] = process.argv.slice(2) as [string, string];
	const service = new VrrpService({
		config: loadConfig(file).config,
		configFile: file,
		log: openLog("vrrp"),
		realTime: true,
		onChange: () => {},
		onEvent: () => {},
		onAlive: () => {},
	});
	service.start(null);
	const print = (when: Overtaken["when"]) => {
		const { stdout } = Bun.spawnSync(["ip", "-br", "address", "show", "dev", "eth0"]);
		const line: Overtaken = {
			when,
			addresses: stdout.toString(),
			state: service.status().instances[0]?.state ?? null,
		};
		process.stdout.write(`${JSON.stringify(line)}\n`);
	};
	const next = loadConfig(other).config;
	// Nothing of JavaScript runs until the deadline has passed.
	const until = native.monotonicMicros() + 1_500_000;
	while (native.monotonicMicros() < until);
	print("taken-over");
	service.reload(next);
	setTimeout(() => {
		print("retracted");
		process.exit(0);
	}, 500);
}
