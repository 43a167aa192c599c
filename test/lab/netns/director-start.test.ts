/** What the director's start waits for has an end. */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasIpvs } from "./health-peer.ts";
import { bunPath, eventually, Network } from "./network.ts";

const DROVER = join(import.meta.dir, "../../../firmware/drover.ts");

const configuration = `virtual_server 10.9.0.100 80 {
	delay_loop 1
	lb_algo rr
	lb_kind NAT
	protocol TCP
	alpha
	real_server 10.9.0.1 80 {
		MISC_CHECK {
			misc_path "/bin/true"
		}
	}
}
`;

test("a modprobe that never ends holds up neither the start nor the checks", async () => {
	using network = Network.create("start");
	const box = network.namespace("box");
	const folder = mkdtempSync(join(tmpdir(), "drover-start-"));
	const path = (name: string) => join(folder, name);
	writeFileSync(path("modprobe"), `#!/bin/sh\ntouch ${path("asked")}\nexec sleep 600\n`, { mode: 0o755 });
	writeFileSync(path("keepalived.conf"), configuration);
	writeFileSync(path("log"), "");
	const child = box.spawn([bunPath, DROVER, "director", "-f", path("keepalived.conf")], {
		env: {
			...process.env,
			PATH: `${folder}:${process.env["PATH"]}`,
			DROVER_LOG: path("log"),
			DROVER_RUN_DIR: folder,
		},
	});
	await eventually("the check has passed", () => readFileSync(path("log"), "utf8").includes("Gained quorum"));
	if (!hasIpvs()) expect(await Bun.file(path("asked")).exists()).toBe(true);
	child.kill("SIGTERM");
	await child.exited;
	rmSync(folder, { recursive: true, force: true });
}, 60_000);
