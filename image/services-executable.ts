/**
 * Bun's executable with the two services in it that a starting box waits for (`firmware/services-program.ts`). Their
 * code and its parsed form lie in it as Bun runs them: mapped, and read page by page as far as it is used, where files
 * beside it are read and copied whole. What their start touches of Bun lies side by side (`start-pages/`). With
 * BUN_BE_BUN=1 it is Bun, for all other programs.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { bundle, later } from "./firmware-bundle.ts";
import { buildIdOf, gathered } from "./start-pages/gathered-executable.ts";
import { compileRemap } from "./start-pages/remap.ts";
import { startPages } from "./start-pages/start-pages.ts";

const project = join(import.meta.dir, "..");

/** Makes it in `directory` and returns its path. Throws with the bundler's messages. */
export async function compileServices(directory: string): Promise<string> {
	const outfile = join(directory, "bun");
	await bundle({
		entrypoints: [join(project, "firmware/services-program.ts")],
		format: "esm",
		splitting: true,
		bytecode: true,
		compile: { outfile, autoloadDotenv: false, autoloadBunfig: false },
		plugins: [outside],
	});
	const executable = readFileSync(outfile);
	// Another Bun than the recorded one starts as it is.
	if (buildIdOf(executable) === startPages.buildId)
		writeFileSync(outfile, gathered(executable, startPages.runs, compileRemap(directory)));
	return outfile;
}

/**
 * What comes from outside the executable, each as a line that gets it: what lies beside it on the box, and
 * Bun's own modules, which would else be put into it a second time, in parsed form (1 MB of a slot).
 */
const outside: Bun.BunPlugin = {
	name: "outside",
	setup(builder) {
		const beside = new Map(Object.entries(later).map(([name, path]) => [join(project, path), `${name}.js`]));
		beside.set(join(project, "native/drover.node"), "drover.node");
		builder.onResolve({ filter: /^pino$|\.(ts|node)$/ }, ({ path, importer }) => {
			const file = beside.get(path === "pino" ? join(project, later.pino) : join(dirname(importer), path));
			return file === undefined ? undefined : { path: file, namespace: "beside" };
		});
		// The bundler asks nobody about `node:`.
		builder.onLoad({ filter: /\/firmware\/.*\.ts$/ }, async ({ path }) => ({
			contents: (await Bun.file(path).text()).replaceAll('"node:', '"bun-has:'),
			loader: "ts",
		}));
		builder.onResolve({ filter: /^bun-has:/ }, ({ path }) => ({
			path: path.slice("bun-has:".length),
			namespace: "bun-has",
		}));
		const exported = (expression: string) => ({ contents: `${expression};`, loader: "js" as const });
		builder.onLoad({ filter: /./, namespace: "bun-has" }, ({ path }) =>
			exported(`module.exports = process.getBuiltinModule("${path}")`),
		);
		// Of the shim it is known what it is: `require` would look for it first, in a list of all that lies beside it.
		builder.onLoad({ filter: /./, namespace: "beside" }, ({ path }) =>
			exported(
				path.endsWith(".node")
					? `process.dlopen(module, ${besideExecutable(path)})`
					: `module.exports = require(${besideExecutable(path)})`,
			),
		);
	},
};

/** The path of `file` beside the executable, as an expression. */
const besideExecutable = (file: string) =>
	`process.execPath.slice(0, process.execPath.lastIndexOf("/") + 1) + "${file}"`;
