/**
 * The public HTTP cache test suite (npm http-cache-tests, what cache-tests.fyi shows), as its author publishes it.
 *
 * Only its own files are used: its declared dependencies serve its web pages, and would bring a whole npm with
 * them. It is unpacked once under out/, checked against the digest below.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

const NAME = "http-cache-tests";
const VERSION = "0.4.5";
/** sha512 of the published archive, as the registry states it. */
const INTEGRITY = "DjuwN9nUZXLTW+wav1LRESCZNVxl8SshwOy4z1pxuWbWt5/ay6sM9QQ1lebBaDO6P1IMBoK6mdf+PuVP/QNL8A==";

const out = join(import.meta.dir, "../../out");
/** Where the unpacked suite is. */
export const suiteDirectory = join(out, `${NAME}-${VERSION}`);

async function run(command: readonly string[], cwd: string): Promise<void> {
	const child = Bun.spawn([...command], { cwd, stdout: "ignore", stderr: "pipe" });
	const errors = await new Response(child.stderr).text();
	if ((await child.exited) !== 0) throw new Error(`${command.join(" ")}: ${errors.trim()}`);
}

/** Fetches and unpacks the suite, if that has not been done. */
export async function ensureSuite(): Promise<void> {
	if (existsSync(join(suiteDirectory, "package.json"))) return;
	mkdirSync(out, { recursive: true });
	const place = mkdtempSync(join(out, "suite-"));
	try {
		await run(["npm", "pack", "--silent", `${NAME}@${VERSION}`], place);
		const archive = join(place, readdirSync(place).find((name) => name.endsWith(".tgz")) ?? "none");
		const digest = createHash("sha512").update(readFileSync(archive)).digest("base64");
		if (digest !== INTEGRITY)
			throw new Error(`${NAME} ${VERSION} is not the archive that was pinned: ${digest}`);
		await run(["tar", "xzf", archive], place);
		renameSync(join(place, "package"), suiteDirectory);
	} finally {
		rmSync(place, { recursive: true, force: true });
	}
}

export type Kind = "required" | "optimal" | "check";

export interface CacheTest {
	readonly id: string;
	readonly name: string;
	/** The suite's heading that it stands under. */
	readonly area: string;
	readonly kind: Kind;
	/** Tests that must pass for this one to mean anything. */
	readonly dependsOn: readonly string[];
}

/** True for a pass, else why not: the suite's class of failure and its words. */
export type Result = true | readonly [failure: string, message: string];

export interface SuiteRun {
	readonly tests: readonly CacheTest[];
	readonly results: Readonly<Record<string, Result>>;
}

/** The suite's origin server; `url` is where a cache's backend points. */
export async function startOrigin(port: number): Promise<{ stop(): Promise<void> }> {
	const child = Bun.spawn(["node", "server/server.mjs"], {
		cwd: suiteDirectory,
		env: {
			...process.env,
			npm_config_protocol: "http",
			npm_config_port: String(port),
			npm_config_pidfile: "/dev/null",
		},
		stdout: "pipe",
		stderr: "inherit",
	});
	const reader = child.stdout.getReader();
	const { value } = await reader.read();
	if (value === undefined) throw new Error("the suite's origin server did not start");
	// It warns about every request that it does not know; nobody wants to read that.
	void (async () => {
		while (!(await reader.read()).done);
	})();
	return {
		async stop() {
			child.kill();
			await child.exited;
		},
	};
}

/** Runs all tests, or those with the given `ids`, against the cache at `base` ("http://host:port"), `together` at a time. */
export async function runSuite(
	base: string,
	together: number,
	ids: readonly string[] = [],
): Promise<SuiteRun> {
	const child = Bun.spawn(
		[
			"node",
			"--no-warnings",
			join(import.meta.dir, "drive.mjs"),
			suiteDirectory,
			base,
			String(together),
			...(ids.length === 0 ? [] : [ids.join(",")]),
		],
		{ stdout: "pipe", stderr: "inherit" },
	);
	const text = await new Response(child.stdout).text();
	const status = await child.exited;
	if (status !== 0) throw new Error(`the suite ended with status ${status}`);
	return JSON.parse(text);
}
