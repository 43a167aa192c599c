/** This system's names for the numbers of routes and rules: rt_* and rt_*.d/*.conf in iproute2's folders. */
import { readdirSync, readFileSync } from "node:fs";
import { type LookUpRouteName, parseNames, type RouteNameKind, routeNames } from "./route-names.ts";

const files: Readonly<Record<RouteNameKind, string>> = {
	table: "rt_tables",
	protocol: "rt_protos",
	scope: "rt_scopes",
	realm: "rt_realms",
	trafficClass: "rt_dsfield",
};

/** The look-up with this system's files, each read once when first needed; later folders win. */
export function systemRouteNames(folders: readonly string[]): LookUpRouteName {
	const cache = new Map<RouteNameKind, Map<string, number>>();
	return routeNames((kind) => {
		let names = cache.get(kind);
		if (names === undefined) {
			names = new Map();
			for (const path of folders.flatMap((folder) => nameFiles(`${folder}/${files[kind]}`)))
				for (const [name, value] of parseNames(readText(path))) names.set(name, value);
			cache.set(kind, names);
		}
		return names;
	});
}

function nameFiles(path: string): string[] {
	let extra: string[] = [];
	try {
		extra = readdirSync(`${path}.d`)
			.filter((name) => name.endsWith(".conf"))
			.map((name) => `${path}.d/${name}`);
	} catch {
		// No such folder is the usual case.
	}
	return [path, ...extra];
}

function readText(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
