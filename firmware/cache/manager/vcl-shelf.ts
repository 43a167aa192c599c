/** The VCLs that the manager has: compiled to find the errors, kept as text to be given to the workers. */
import { lookup } from "node:dns/promises";
import { accessSync, constants, existsSync, readFileSync, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { Glob } from "bun";
import { named } from "../../named.ts";
import type { ParameterSet } from "../cli/parameters.ts";
import { compileVcl, hostNames } from "../vcl/compile.ts";
import { formatFailure } from "../vcl/diagnostic.ts";
import type { IncludeAnswer, IncludeRequest } from "../vcl/include.ts";
import type { CompiledVcl } from "../vcl/runtime.ts";
import type { VclText } from "../worker/wire.ts";

export type VclState = "auto" | "cold" | "warm";

export interface ShelvedVcl {
	readonly name: string;
	readonly text: VclText;
	readonly compiled: CompiledVcl;
	state: VclState;
	/** Automatic, and not used for vcl_cooldown: its probes rest. */
	cooled: boolean;
	/** Seconds of a steady clock since when nothing leads to it; undefined while something does. */
	idleSince: number | undefined;
}

export type Compiled =
	| { readonly ok: true; readonly vcl: ShelvedVcl }
	| { readonly ok: false; readonly message: string };

/** The text of a VCL with one backend, as -b makes it. */
/** `address` may have a port, as "HOST:PORT" or "HOST PORT": it is what requests that name no Host ask for. */
export function backendVcl(address: string): string {
	const words = /^(\S+) +(\S+)$/.exec(address);
	if (words !== null) {
		const [, host = "", port = ""] = words;
		return backendVcl(`${host.includes(":") ? `[${host}]` : host}:${port}`);
	}
	return `vcl 4.1;\n\nbackend default {\n    .host = "${address}";\n}\n`;
}

export function backendPathVcl(path: string): string {
	return `vcl 4.1;\n\nbackend default {\n    .path = "${path}";\n}\n`;
}

/** Finds a file by name in vcl_path; undefined when there is none. */
export function findVclFile(name: string, path: string): string | undefined {
	if (isAbsolute(name)) return existsSync(name) ? name : undefined;
	return path
		.split(":")
		.map((directory) => join(directory, name))
		.find((each) => existsSync(each) && statSync(each).isFile());
}

/** What keeps a file from being read; null when nothing does. */
export function fileProblem(path: string): string | null {
	try {
		accessSync(path, constants.R_OK);
		return statSync(path).isFile() ? null : "Not a file";
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "EACCES"
			? "Permission denied"
			: "No such file or directory";
	}
}

/** vcc_unsafe_path: files are found in vcl_path only. */
export const mayName = (name: string, parameters: ParameterSet) =>
	parameters.values["vcc_unsafe_path"] !== false || !name.includes("/");

export const unsafeName = (name: string) => `VCL filename '${name}' is unsafe.\n`;

function includer(
	parameters: ParameterSet,
	provided: Readonly<Record<string, string>>,
	seen: Record<string, { name: string; text: string }[]>,
): (request: IncludeRequest) => IncludeAnswer {
	const path = String(parameters.values["vcl_path"]);
	return ({ name, glob }) => {
		const files: { name: string; text: string }[] = [];
		if (!glob && Object.hasOwn(provided, name)) {
			files.push({ name, text: provided[name]! });
			seen[`${name}\0${glob}`] = files;
			return { ok: true, files };
		}
		if (!mayName(name, parameters)) return { ok: false, error: unsafeName(name) };
		const add = (file: string) => files.push({ name: file, text: readFileSync(file, "latin1") });
		try {
			if (!glob) {
				const file = findVclFile(name, path);
				if (file === undefined)
					return { ok: false, error: `Cannot read file '${name}' (No such file or directory)` };
				add(file);
			} else {
				const roots = isAbsolute(name) ? ["/"] : path.split(":");
				for (const root of roots) {
					const found = existsSync(root)
						? [...new Glob(isAbsolute(name) ? name.slice(1) : name).scanSync({ cwd: root, absolute: true })]
						: [];
					for (const file of found.sort()) add(file);
					if (files.length > 0) break;
				}
				if (files.length === 0) return { ok: false, error: "glob pattern matched no files." };
			}
		} catch (error) {
			return {
				ok: false,
				error: `Cannot read file '${name}' (${error instanceof Error ? error.message : error})`,
			};
		}
		seen[`${name}\0${glob}`] = files;
		return { ok: true, files };
	};
}

export interface VclSource {
	readonly name: string;
	readonly source: string;
	/** What errors call it. */
	readonly file: string;
	/** Texts that an include finds by name before it looks for files. */
	readonly provided?: Readonly<Record<string, string>>;
}

/** Compiles; looks host names up first. */
export async function compileForShelf(
	{ name, source, file, provided = {} }: VclSource,
	parameters: ParameterSet,
	labels: readonly string[],
	stevedores: readonly string[],
): Promise<Compiled> {
	const unusedIsError = parameters.values["vcc_err_unref"] === true;
	const includes: Record<string, { name: string; text: string }[]> = {};
	const include = includer(parameters, provided, includes);
	const hosts: Record<string, string[]> = {};
	for (const host of hostNames(source, { name: file, include })) {
		try {
			const addresses = await lookup(host, { all: true });
			const first = (family: number) => addresses.find((each) => each.family === family)?.address;
			hosts[host] = [first(4), first(6)].filter((each) => each !== undefined);
		} catch {
			// Left out: the compiler says so at the right place.
		}
	}
	const result = compileVcl(source, {
		name: file,
		include,
		resolve: (host) => {
			const addresses = named(hosts, host);
			return addresses === undefined
				? { ok: false, error: "Name or service not known" }
				: { ok: true, addresses };
		},
		checkFile: fileProblem,
		checkSocket: (socket) => {
			try {
				return statSync(socket).isSocket() ? null : { kind: "no-socket", text: "Not a socket" };
			} catch {
				return { kind: "missing", text: "No such file or directory" };
			}
		},
		stevedores,
		labels,
		unusedIsError,
		unsafePath: parameters.values["vcc_unsafe_path"] !== false,
	});
	if (!result.ok) return { ok: false, message: formatFailure(result.error) };
	return {
		ok: true,
		vcl: {
			name,
			text: { name, source, sourceName: file, includes, hosts, labels, stevedores, unusedIsError },
			compiled: result.vcl,
			state: "auto",
			cooled: false,
			idleSince: undefined,
		},
	};
}
