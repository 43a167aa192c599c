/** A real nginx of the test's own, in the foreground, with everything it writes in a folder that goes with it. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { portAnswers } from "../../conformance/caches.ts";

export interface Nginx {
	/** Request lines as nginx understood them, in order. */
	requests(): readonly string[];
	stop(): Promise<void>;
}

const START_LIMIT_MS = 20_000;

/** Starts nginx with `http`, the inside of its http block, listening on `port`. */
export async function startNginx(port: number, http: string): Promise<Nginx> {
	const directory = mkdtempSync(join(tmpdir(), "drover-nginx-"));
	mkdirSync(join(directory, "tmp"));
	const log = join(directory, "access.log");
	writeFileSync(log, "");
	const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
		.map((name) => `${name}_temp_path tmp/${name};`)
		.join("\n");
	writeFileSync(
		join(directory, "nginx.conf"),
		`daemon off; master_process off; pid nginx.pid; error_log error.log info; user root;
events { worker_connections 256; }
http { log_format line '$request|$status'; access_log ${log} line; ${paths} ${http} }`,
	);
	const child = Bun.spawn(["/usr/sbin/nginx", "-p", directory, "-c", "nginx.conf", "-e", "error.log"], {
		stdout: "ignore",
		stderr: "pipe",
	});
	const until = Date.now() + START_LIMIT_MS;
	while (!(await portAnswers(port))) {
		if (child.exitCode !== null || Date.now() > until) {
			child.kill();
			throw new Error(`nginx did not start: ${await new Response(child.stderr).text()}`);
		}
		await Bun.sleep(20);
	}
	return {
		requests: () =>
			readFileSync(log, "latin1")
				.split("\n")
				.filter((line) => line !== ""),
		async stop() {
			child.kill();
			await child.exited;
			rmSync(directory, { recursive: true, force: true });
		},
	};
}
