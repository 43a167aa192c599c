/** User and group names to numbers: passwd(5) and group(5) as the appliance has them. */
import { readFileSync } from "node:fs";

export interface Identity {
	readonly uid: number;
	readonly gid: number;
}

function entry(file: string, name: string): readonly string[] | null {
	let text: string;
	try {
		text = readFileSync(file, "utf8");
	} catch {
		return null;
	}
	for (const line of text.split("\n")) {
		const fields = line.split(":");
		if (fields[0] === name && fields.length >= 3) return fields;
	}
	return null;
}

/** Numbers are taken as they are. Throws an Error that names what is unknown; null for "as this process". */
export function identityOf(user: string | null, group: string | null): Identity | null {
	if (user === null && group === null) return null;
	const own: Identity = { uid: process.getuid!(), gid: process.getgid!() };
	let { uid, gid } = own;
	if (user !== null) {
		const found = entry("/etc/passwd", user);
		if (found !== null) {
			uid = Number(found[2]);
			gid = Number(found[3]);
		} else if (/^\d+$/.test(user)) uid = Number(user);
		else throw new Error(`there is no user "${user}"`);
	}
	if (group !== null) {
		const found = entry("/etc/group", group);
		if (found !== null) gid = Number(found[2]);
		else if (/^\d+$/.test(group)) gid = Number(group);
		else throw new Error(`there is no group "${group}"`);
	}
	return uid === own.uid && gid === own.gid ? null : { uid, gid };
}

/** The numbers that a script runs under; those of this process where a name is unknown, since it does not run at all then. */
export function numbersOf({
	user,
	group,
}: {
	readonly user: string | null;
	readonly group: string | null;
}): Identity {
	const own: Identity = { uid: process.getuid!(), gid: process.getgid!() };
	try {
		return identityOf(user, group) ?? own;
	} catch {
		return own;
	}
}
