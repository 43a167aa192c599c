/**
 * A service inside a test's namespace whose JavaScript stands still while the real-time thread takes over, and which is
 * told something else before it hears of that. `bun vrrp-overtaken.ts FILE OTHER_FILE STILL_MS`; prints JSON lines.
 */
import { loadConfig } from "../../../firmware/config/keepalived/load.ts";
import { native } from "../../../firmware/kernel/native.ts";
import { openLog } from "../../../firmware/status/log.ts";
import { VrrpService } from "../../../firmware/vrrp/service.ts";

const VIRTUAL_ADDRESS = "192.0.2.200";
/** A busy machine may take its time. */
const RETRACT_LIMIT_MS = 10_000;
const FAREWELL_MS = 200;

export interface Overtaken {
	readonly when: "taken-over" | "retracted";
	readonly addresses: string;
	readonly state: string | null;
}

if (import.meta.main) {
	const [file, other, stillMs] = process.argv.slice(2) as [string, string, string];
	const service = new VrrpService({
		config: loadConfig(file).config,
		configFile: file,
		log: openLog("vrrp"),
		realTime: true,
		onChange: () => {},
		onEvent: () => {},
		onAlive: () => {},
	});
	service.start(null, false);
	const addresses = () => Bun.spawnSync(["ip", "-br", "address", "show", "dev", "eth0"]).stdout.toString();
	const print = (when: Overtaken["when"]) => {
		const line: Overtaken = {
			when,
			addresses: addresses(),
			state: service.status().instances[0]?.state ?? null,
		};
		process.stdout.write(`${JSON.stringify(line)}\n`);
	};
	const next = loadConfig(other).config;
	// Nothing of JavaScript runs until the deadline has passed.
	const until = native.monotonicMicros() + Number(stillMs) * 1_000;
	while (native.monotonicMicros() < until);
	print("taken-over");
	service.reload(next);
	const givenUp = performance.now() + RETRACT_LIMIT_MS;
	const timer = setInterval(() => {
		if (addresses().includes(VIRTUAL_ADDRESS) && performance.now() < givenUp) return;
		clearInterval(timer);
		print("retracted");
		// Its farewell leaves with the other thread.
		setTimeout(() => process.exit(0), FAREWELL_MS);
	}, 50);
}
