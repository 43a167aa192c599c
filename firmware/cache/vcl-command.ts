/**
 * `drover vcl check|show|upgrade FILE`: says what a policy file means before anyone relies on it.
 * The thin edge of cache/vcl/: files, names and the terminal.
 */
import { lookup } from "node:dns/promises";
import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { fileProblem } from "./manager/vcl-shelf.ts";
import { toByteString, toBytes, toText } from "./vcl/byte-string.ts";
import { type CompileOptions, type CompileResult, compileVcl, hostNames } from "./vcl/compile.ts";
import { formatFailure } from "./vcl/diagnostic.ts";
import type { Includer } from "./vcl/include.ts";
import { formatNotes, hasVersion, upgradeVcl } from "./vcl/upgrade.ts";

const usage = `usage: drover vcl check FILE     compile it, and say what is wrong
       drover vcl show FILE      print the JavaScript that it becomes
       drover vcl upgrade FILE   print it as VCL 4 (comments and layout stay)

  -I, --include-path PATH  where relative includes are looked for (/etc/varnish:/usr/share/varnish/vcl)
  -n, --no-lookup          do not look up host names
  -u, --unused-warns       unused declarations are warnings

examples:
  drover vcl check default.vcl
      before it is committed
  drover vcl upgrade old.vcl >default.vcl
      a file of the days of VCL 3
`;

/** Parameter vcl_path of the stock program. */
export const defaultVclPath = "/etc/varnish:/usr/share/varnish/vcl";

/** Files for `include`, searched as the stock program does. */
export function includeFrom(vclPath: string): Includer {
	const find = (name: string): string | null => {
		if (isAbsolute(name)) return existsSync(name) ? name : null;
		for (const folder of vclPath.split(":")) {
			const path = join(folder, name);
			if (existsSync(path)) return path;
		}
		return null;
	};
	const read = (path: string) => ({ name: path, text: toByteString(readFileSync(path)) });
	return ({ name, glob }) => {
		try {
			if (glob) {
				const folders = isAbsolute(name) ? [""] : vclPath.split(":");
				for (const folder of folders) {
					const paths = globSync(folder === "" ? name : join(folder, name)).sort();
					if (paths.length > 0) return { ok: true, files: paths.map(read) };
				}
				return { ok: false, error: "glob pattern matched no files.\n" };
			}
			const path = find(name);
			return path === null
				? { ok: false, error: `Cannot read file '${name}' (No such file or directory)\n` }
				: { ok: true, files: [read(path)] };
		} catch (error) {
			return { ok: false, error: `Cannot read file '${name}' (${(error as Error).message})\n` };
		}
	};
}

/** Looks up every host name of the program, then compiles it. */
export async function compileFile(
	path: string,
	text: Uint8Array,
	options: CompileOptions & { readonly lookUp?: boolean } = {},
): Promise<CompileResult> {
	const settings: CompileOptions = {
		name: path,
		include: includeFrom(defaultVclPath),
		checkFile: fileProblem,
		checkSocket: (socket) => {
			try {
				return statSync(socket).isSocket() ? null : { kind: "no-socket", text: "Not a socket" };
			} catch (error) {
				const { code } = error as NodeJS.ErrnoException;
				if (code === "ENOENT") return { kind: "missing", text: "No such file or directory" };
				if (code === "EACCES") return { kind: "forbidden", text: "Permission denied" };
				return { kind: "other", text: String(code) };
			}
		},
		...options,
	};
	if (options.lookUp === false) return compileVcl(text, settings);
	const known = new Map<string, readonly string[]>();
	await Promise.all(
		hostNames(text, settings).map(async (name) => {
			try {
				const found = await lookup(name, { all: true });
				known.set(name, [...new Set(found.map(({ address }) => address))]);
			} catch {
				known.set(name, []);
			}
		}),
	);
	return compileVcl(text, {
		...settings,
		resolve: (name) => {
			const addresses = known.get(name) ?? [];
			return addresses.length > 0
				? { ok: true, addresses }
				: { ok: false, error: "Name or service not known" };
		},
	});
}

function readPolicy(path: string): Uint8Array {
	try {
		return readFileSync(path);
	} catch (error) {
		// That of a folder does not say which.
		throw Object.assign(error as Error, { path });
	}
}

export const main = async (words: readonly string[]): Promise<number> => {
	const { values, positionals } = parseArgs({
		args: [...words],
		options: {
			"include-path": { type: "string", short: "I", default: defaultVclPath },
			"no-lookup": { type: "boolean", short: "n", default: false },
			"unused-warns": { type: "boolean", short: "u", default: false },
			help: { type: "boolean", short: "h", default: false },
		},
		allowPositionals: true,
	});
	if (values.help) {
		console.log(usage);
		return 0;
	}
	const [verb, file, ...more] = positionals;
	if (file === undefined || more.length > 0 || !["check", "show", "upgrade"].includes(verb ?? "")) {
		console.error(usage);
		return 2;
	}
	const text = readPolicy(file);
	if (verb === "upgrade") {
		if (hasVersion(text)) {
			console.error(`${file}: is VCL 4 already`);
			process.stdout.write(text);
			return 0;
		}
		const upgraded = upgradeVcl(text, { name: file });
		if (upgraded === null) {
			console.error(`${file}: cannot be read as VCL; \`drover vcl check\` says where`);
			return 2;
		}
		process.stdout.write(toBytes(upgraded.text));
		process.stderr.write(toText(formatNotes(file, upgraded.notes)));
		return 0;
	}
	const result = await compileFile(resolve(file), text, {
		include: includeFrom(values["include-path"]),
		lookUp: !values["no-lookup"],
		unusedIsError: !values["unused-warns"],
	});
	if (!result.ok) {
		console.error(toText(formatFailure(result.error)));
		return 2;
	}
	if (result.vcl.warnings !== "") console.error(toText(result.vcl.warnings));
	console.log(verb === "show" ? result.vcl.code : `${file}: VCL compiled.`);
	return 0;
};
