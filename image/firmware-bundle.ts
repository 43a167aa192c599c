/**
 * The firmware as Bun runs it on the appliance: one entry and a chunk for each command, and in one file the two
 * services that a starting box waits for.
 */
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { Glob } from "bun";

const project = join(import.meta.dir, "..");

/**
 * Packages that do not survive bundling: net-snmp relies on sloppy mode and fails as a
 * strict-mode module. They come as they are, with what they depend on.
 */
const unbundled = ["net-snmp"];

/**
 * What the two services load once they serve, by the name of its file: shared with all other commands, and nothing
 * that their own file would have to be read with.
 */
const later = {
	pino: "node_modules/pino/pino.js",
	control: "firmware/vrrp/control.ts",
	methods: "firmware/director/methods.ts",
} as const;

export interface FirmwareBundle {
	/** Paths from the firmware's directory. */
	readonly files: readonly { readonly path: string; readonly content: Uint8Array }[];
	readonly shimPath: string;
}

/**
 * Bundles `firmware/drover.ts` and `firmware/services-program.ts`. The shim stays outside the bundles and is found beside them. Throws
 * with the bundler's messages.
 */
export async function bundleFirmware(): Promise<FirmwareBundle> {
	const shimPath = join(project, "native/drover.node");
	if (!existsSync(shimPath)) throw new Error("native/drover.node is missing: run native/build.sh");
	const outputs = [
		...(await bundle({
			entrypoints: ["firmware/drover.ts", ...Object.values(later)].map((path) => join(project, path)),
			format: "esm",
			splitting: true,
			naming: { entry: "[name].[ext]", chunk: "[name]-[hash].[ext]" },
		})),
		// Its parsed form lies beside it, made by the same Bun that the image carries; any other one would not take it.
		...(await bundle({
			entrypoints: [join(project, "firmware/services-program.ts")],
			format: "cjs",
			bytecode: true,
			naming: { entry: "services.[ext]" },
			plugins: [loadedLater],
		})),
	];
	const bundled = new Map(
		await Promise.all(
			outputs.map(
				async (output) => [basename(output.path), new Uint8Array(await output.arrayBuffer())] as const,
			),
		),
	);
	const files = [...[...bundled].map(([path, content]) => ({ path, content })), ...packageFiles(unbundled)];
	return { files: files.sort((a, b) => (a.path < b.path ? -1 : 1)), shimPath };
}

/** cbor-x for Node.js would look for an addon that is not in the image, and load streams, at every start of a service. */
const plainCbor: Bun.BunPlugin = {
	name: "plain cbor-x",
	setup(builder) {
		builder.onResolve({ filter: /^cbor-x$/ }, () => ({
			path: join(project, "node_modules/cbor-x/index.js"),
		}));
	},
};

/** Leaves what is loaded later to a file of its own. */
const loadedLater: Bun.BunPlugin = {
	name: "loaded later",
	setup(builder) {
		const files = new Map(Object.entries(later).map(([name, path]) => [join(project, path), `./${name}.js`]));
		builder.onResolve({ filter: /^pino$|\.ts$/ }, ({ path, importer }) => {
			const file = files.get(path === "pino" ? join(project, later.pino) : join(dirname(importer), path));
			return file === undefined ? undefined : { path: file, external: true };
		});
	},
};

type Shape = Pick<
	Bun.BuildConfig,
	"entrypoints" | "format" | "splitting" | "naming" | "bytecode" | "plugins"
>;

async function bundle(shape: Shape): Promise<readonly Bun.BuildArtifact[]> {
	const result = await Bun.build({
		...shape,
		target: "bun",
		minify: { whitespace: true, syntax: true, identifiers: false },
		external: ["./drover.node", ...unbundled],
		plugins: [plainCbor, ...(shape.plugins ?? [])],
		throw: false,
	} as Bun.BuildConfig);
	if (!result.success) throw new Error(`the firmware does not bundle:\n${result.logs.join("\n")}`);
	return result.outputs;
}

/** The code of npm packages and of all they depend on, as `node_modules/…`. */
function packageFiles(names: readonly string[]): { path: string; content: Uint8Array }[] {
	const files: { path: string; content: Uint8Array }[] = [];
	const seen = new Set<string>();
	const add = (name: string) => {
		if (seen.has(name)) return;
		seen.add(name);
		const directory = join(project, "node_modules", name);
		for (const path of new Glob("**/*.{js,cjs,mjs,json}").scanSync(directory)) {
			if (/(^|\/)(tests?|examples?|docs?)\//.test(path)) continue;
			files.push({ path: `node_modules/${name}/${path}`, content: readFileSync(join(directory, path)) });
		}
		const { dependencies = {} } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
		Object.keys(dependencies).forEach(add);
	};
	names.forEach(add);
	return files;
}
