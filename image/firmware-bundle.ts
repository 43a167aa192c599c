/**
 * The firmware as Bun runs it on the appliance: one entry and a chunk for each command. The two services that a starting
 * box waits for are in Bun's own executable (services-executable.ts).
 */
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { Glob } from "bun";

const project = join(import.meta.dir, "..");

/**
 * Packages that do not survive bundling: net-snmp relies on sloppy mode and fails as a
 * strict-mode module. They come as they are, with what they depend on.
 */
const unbundled = ["net-snmp"];

/** What the two services load once they serve, by the name of its file: shared with all other commands. */
export const later = {
	pino: "node_modules/pino/pino.js",
	control: "firmware/vrrp/control.ts",
	methods: "firmware/director/methods.ts",
} as const;

export interface FirmwareBundle {
	/** Paths from the firmware's directory. */
	readonly files: readonly { readonly path: string; readonly content: Uint8Array }[];
	readonly shimPath: string;
}

/** Bundles `firmware/drover.ts`. The shim stays outside and is found beside it. Throws with the bundler's messages. */
export async function bundleFirmware(): Promise<FirmwareBundle> {
	const shimPath = join(project, "native/drover.node");
	if (!existsSync(shimPath)) throw new Error("native/drover.node is missing: run native/build.sh");
	const outputs = await bundle({
		entrypoints: ["firmware/drover.ts", ...Object.values(later)].map((path) => join(project, path)),
		format: "esm",
		splitting: true,
		naming: { entry: "[name].[ext]", chunk: "[name]-[hash].[ext]" },
	});
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

/** What the bundler makes in this shape, of code for Bun. Throws with its messages. */
export async function bundle(shape: Bun.BuildConfig): Promise<readonly Bun.BuildArtifact[]> {
	const result = await Bun.build({
		...shape,
		target: "bun",
		minify: { whitespace: true, syntax: true, identifiers: false },
		external: ["./drover.node", ...unbundled],
		plugins: [plainCbor, ...(shape.plugins ?? [])],
		throw: false,
	});
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
