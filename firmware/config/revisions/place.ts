/**
 * Where a backup goes to and comes from: a file, "usb" (the stick that is in), a URL (GET, and PUT), or
 * scp://[USER@]HOST/PATH through OpenSSH's own program.
 */
import {
	copyFileSync,
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type StickAccess, StickError, withStick } from "../../appliance/usb-stick.ts";
import { webTrouble } from "../../web-trouble.ts";
import { RevisionError } from "./revisions.ts";
import { scpTrouble } from "./scp-trouble.ts";

const TRANSFER_TIMEOUT_MS = 60_000;
const DOWNLOAD_LIMIT_BYTES = 72 * 1024 * 1024;
const KNOWN_HOSTS_PATH = "/data/access/known_hosts";
const STICK_NAME = /^drover-.*\.tar$/;

/**
 * Carries the archive there. Resolves with where it lies now, in words. `authority`: PEM of who signed an https
 * server's certificate, null for the well-known ones. Throws a RevisionError.
 */
export async function sendBackup(
	archive: string,
	place: string,
	name: string,
	authority: string | null,
): Promise<string> {
	if (place === "usb")
		return (await onStick("write", async (folder) => {
			const path = join(folder, name);
			try {
				copyFileSync(archive, path);
			} catch (error) {
				// Half a backup is none.
				rmSync(path, { force: true });
				throw error;
			}
			return `${name} on the USB stick`;
		}))!;
	if (isWeb(place)) {
		// A folder takes it under its own name.
		const url = place.endsWith("/") ? place + name : place;
		await web(url, authority, { method: "PUT", body: Bun.file(archive) }, async () => {});
		return url;
	}
	if (isScp(place)) {
		scp(archive, scpTarget(place));
		return place;
	}
	expectPath(place);
	const path = existsSync(place) && statSync(place).isDirectory() ? join(place, name) : place;
	try {
		copyFileSync(archive, path);
	} catch (error) {
		throw new RevisionError(`${path} cannot be written: ${plainly(error)}`);
	}
	return path;
}

/** Fetches an archive into the file `archive`; `authority` as above. Throws a RevisionError. */
export async function fetchBackup(place: string, archive: string, authority: string | null): Promise<void> {
	if (place === "usb") {
		const found = await onStick("read", async (folder) => {
			const newest = readdirSync(folder)
				.filter((name) => STICK_NAME.test(name))
				.sort((a, b) => statSync(join(folder, b)).mtimeMs - statSync(join(folder, a)).mtimeMs)[0];
			if (newest === undefined) return null;
			writeFileSync(archive, readFileSync(join(folder, newest)), { mode: 0o600 });
			return newest;
		});
		if (found === null) throw new RevisionError("there is no backup (drover-….tar) on the USB stick");
		return;
	}
	if (isWeb(place)) {
		const bytes = await web(place, authority, {}, (answer) => readBody(place, answer));
		writeFileSync(archive, bytes, { mode: 0o600 });
		return;
	}
	if (isScp(place)) return scp(scpTarget(place), archive);
	expectPath(place);
	if (!existsSync(place)) throw new RevisionError(`there is no ${place}`);
	if (!statSync(place).isFile()) throw new RevisionError(`${place} is no file`);
	try {
		copyFileSync(place, archive);
	} catch (error) {
		throw new RevisionError(`${place} cannot be read: ${plainly(error)}`);
	}
}

/** An error of a file operation, without the call and its paths. */
function plainly(error: unknown): string {
	switch ((error as NodeJS.ErrnoException).code) {
		case "ENOENT":
		case "ENOTDIR":
			return "there is no such folder";
		case "EROFS":
			return "its disk can only be read";
		case "ENOSPC":
			return "the disk is full";
		case "EACCES":
		case "EPERM":
			return "it is not allowed";
		default:
			return error instanceof Error ? error.message : String(error);
	}
}

/** What looks like another protocol is no file's name. */
function expectPath(place: string): void {
	const [, scheme] = /^([a-z][a-z0-9+.-]*):\/\//i.exec(place) ?? [];
	if (scheme !== undefined)
		throw new RevisionError(`"${scheme}" is not known here: a file, usb, https://, http:// or scp://`);
}

const isWeb = (place: string) => /^https?:\/\//.test(place);
const isScp = (place: string) => place.startsWith("scp://");

/** What `use` makes of a good answer. Throws a RevisionError for any other, and for one that breaks off. */
async function web<T>(
	url: string,
	authority: string | null,
	options: RequestInit,
	use: (answer: Response) => Promise<T>,
): Promise<T> {
	if (!URL.canParse(url)) throw new RevisionError(`${url} is no URL, such as https://example.org/backup.tar`);
	try {
		const answer = await fetch(url, {
			...options,
			...(authority === null ? {} : { tls: { ca: authority } }),
			signal: AbortSignal.timeout(TRANSFER_TIMEOUT_MS),
		});
		if (!answer.ok) throw new RevisionError(`${url} answers ${answer.status}`);
		return await use(answer);
	} catch (error) {
		if (error instanceof RevisionError) throw error;
		throw new RevisionError(
			(error as Error).name === "TimeoutError"
				? `${new URL(url).host} takes longer than ${TRANSFER_TIMEOUT_MS / 1_000} s`
				: webTrouble(url, error as NodeJS.ErrnoException).message,
		);
	}
}

async function readBody(url: string, answer: Response): Promise<Uint8Array> {
	const parts: Uint8Array[] = [];
	let total = 0;
	for await (const part of answer.body ?? []) {
		total += part.length;
		if (total > DOWNLOAD_LIMIT_BYTES)
			throw new RevisionError(`${url} gives more than ${DOWNLOAD_LIMIT_BYTES} bytes`);
		parts.push(part);
	}
	return Buffer.concat(parts);
}

async function onStick<T>(
	access: StickAccess,
	use: (folder: string) => Promise<T | null>,
): Promise<T | null> {
	try {
		return await withStick(access, use);
	} catch (error) {
		if (error instanceof StickError) throw new RevisionError(error.message);
		throw error;
	}
}

/** scp(1) takes "scp://[user@]host[:port]/path" as it is; what could be an option or a command is refused. */
function scpTarget(place: string): string {
	if (!/^scp:\/\/([A-Za-z0-9._-]+@)?[A-Za-z0-9[][A-Za-z0-9.:\]-]*\/[\x21-\x7e]+$/.test(place))
		throw new RevisionError(`"${place}" is not scp://USER@HOST/PATH`);
	return place;
}

function scp(from: string, to: string): void {
	let result: Bun.SyncSubprocess<"pipe" | "inherit", "pipe">;
	try {
		// The password prompt and the question about an unknown host are the operator's to answer.
		result = Bun.spawnSync(["scp", ...knownHosts(), "--", from, to], {
			stdin: "inherit",
			stdout: "inherit",
			stderr: "pipe",
		});
	} catch {
		throw new RevisionError("this box has no scp");
	}
	if (result.exitCode !== 0) throw new RevisionError(`scp: ${scpTrouble(result.stderr.toString())}`);
}

/** On a box root's home can only be read: which host is the right one is remembered among the data. */
function knownHosts(): string[] {
	if (!existsSync("/etc/drover-release")) return [];
	mkdirSync(dirname(KNOWN_HOSTS_PATH), { recursive: true, mode: 0o700 });
	return ["-o", `UserKnownHostsFile=${KNOWN_HOSTS_PATH}`];
}
