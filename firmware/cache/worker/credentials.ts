/** Who is at the other end of a Unix socket, with names. */
import { readFileSync } from "node:fs";
import { peerCredentials } from "../../kernel/peer-credentials.ts";
import type { Connection } from "../vcl/runtime.ts";

/** Null on TCP, and when the kernel does not say. */
export function credentialsOf(descriptor: number): Connection["credentials"] {
	if (descriptor < 0) return null;
	const known = peerCredentials(descriptor);
	if (known === null || known.uid < 0) return null;
	const { uid, gid } = known;
	return { uid, gid, user: nameOf("/etc/passwd", uid), group: nameOf("/etc/group", gid) };
}

/** The number of a user or a group; undefined: there is none of that name. */
export function idOf(kind: "user" | "group", name: string): number | undefined {
	const text = readFileSync(kind === "user" ? "/etc/passwd" : "/etc/group", "utf8");
	const number = text
		.split("\n")
		.find((line) => line.startsWith(`${name}:`))
		?.split(":")[2];
	return number === undefined ? undefined : Number(number);
}

/** passwd(5) and group(5) both have the name first and the number third; a number without a name stands for itself. */
function nameOf(path: string, id: number): string {
	try {
		for (const line of readFileSync(path, "utf8").split("\n")) {
			const [name, , number] = line.split(":");
			if (number === String(id) && name !== undefined) return name;
		}
	} catch {
		// Without the file the number has to do.
	}
	return String(id);
}
