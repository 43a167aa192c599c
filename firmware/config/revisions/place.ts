/**
 * Where a backup goes to and comes from: a file, "usb" (the stick that is in), a URL (GET, and PUT), or
 * scp://[USER@]HOST/PATH through OpenSSH's own program.
 */
import { copyFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StickError, withStick } from "../../appliance/usb-stick.ts";
import { RevisionError } from "./revisions.ts";

const TRANSFER_TIMEOUT_MS = 60_000;
const DOWNLOAD_LIMIT_BYTES = 72 * 1024 * 1024;
const STICK_NAME = /^drover-.*\.tar$/;

/** Carries the archive there. Resolves with where it lies now, in words. Throws a RevisionError. */
export async function sendBackup(archive: string, place: string, name: string): Promise<string> {
	if (place === "usb")
		return onStick("write", async (folder) => {
			copyFileSync(archive, join(folder, name));
			return `${name} on the USB stick`;
		});
	if (isWeb(place)) {
		// A folder takes it under its own name.
		const url = place.endsWith("/") ? place + name : place;
		const answer = await web(url, { method: "PUT", body: Bun.file(archive) });
		if (!answer.ok) throw new RevisionError(`${url} answers ${answer.status}`);
		return url;
	}
	if (isScp(place)) {
		scp(archive, scpTarget(place));
		return place;
	}
	const path = existsSync(place) && statSync(place).isDirectory() ? join(place, name) : place;
	try {
		copyFileSync(archive, path);
	} catch (error) {
		throw new RevisionError(`${path} cannot be written: ${plainly(error)}`);
	}
	return path;
}

/** Fetches an archive into the file `archive`. Throws a RevisionError. */
export async function fetchBackup(place: string, archive: string): Promise<void> {
	if (place === "usb")
		return onStick("read", async (folder) => {
			const newest = readdirSync(folder)
				.filter((name) => STICK_NAME.test(name))
				.sort((a, b) => statSync(join(folder, b)).mtimeMs - statSync(join(folder, a)).mtimeMs)[0];
			if (newest === undefined) throw new RevisionError("there is no backup (drover-….tar) on the USB stick");
			writeFileSync(archive, readFileSync(join(folder, newest)), { mode: 0o600 });
		});
	if (isWeb(place)) {
		const answer = await web(place, {});
		if (!answer.ok || answer.body === null) throw new RevisionError(`${place} answers ${answer.status}`);
		const parts: Uint8Array[] = [];
		let total = 0;
		for await (const part of answer.body) {
			total += part.length;
			if (total > DOWNLOAD_LIMIT_BYTES)
				throw new RevisionError(`${place} gives more than ${DOWNLOAD_LIMIT_BYTES} bytes`);
			parts.push(part);
		}
		writeFileSync(archive, Buffer.concat(parts), { mode: 0o600 });
		return;
	}
	if (isScp(place)) return scp(scpTarget(place), archive);
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

const isWeb = (place: string) => /^https?:\/\//.test(place);
const isScp = (place: string) => place.startsWith("scp://");

async function web(url: string, options: RequestInit): Promise<Response> {
	try {
		return await fetch(url, { ...options, signal: AbortSignal.timeout(TRANSFER_TIMEOUT_MS) });
	} catch (error) {
		throw new RevisionError(`${url}: ${error instanceof Error ? error.message : error}`);
	}
}

async function onStick<T>(access: "read" | "write", use: (folder: string) => Promise<T>): Promise<T> {
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
		result = Bun.spawnSync(["scp", "-q", "--", from, to], {
			stdin: "inherit",
			stdout: "inherit",
			stderr: "pipe",
		});
	} catch {
		throw new RevisionError("this box has no scp");
	}
	if (result.exitCode !== 0)
		throw new RevisionError(`scp: ${result.stderr.toString().trim().split("\n").at(-1) || "failed"}`);
}
