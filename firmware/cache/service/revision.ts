/** What a revision asks of the cache: its settings, and a VCL that was compiled once to be sure of it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ApplianceSettings } from "../../appliance/settings/schema.ts";
import { parseListener, parseSize } from "../../appliance/settings/words.ts";
import { parseSettings } from "../../appliance/settings.ts";
import { loadConfig } from "../../config/keepalived/load.ts";
import type { DroverConfig } from "../../config/model.ts";
import { parseAddress } from "../../wire/ip.ts";
import { ParameterSet } from "../cli/parameters.ts";
import {
	type ListenerOption,
	type Options,
	type StorageOption,
	unboundedTransient,
} from "../manager/options.ts";
import { backendVcl, compileForShelf, type VclSource } from "../manager/vcl-shelf.ts";
import { TRANSIENT } from "../store/layout.ts";
import { inspectCertificate } from "./certificate.ts";
import { findPool, POOL_FILE, poolOnlyVcl, poolVcl } from "./pool-vcl.ts";

export type CacheSettings = ApplianceSettings["cache"];

/** Log that tools read; varnishd's 80 MB are much for a small box. */
const LOG_SPACE = "16m";

export interface CacheRevision {
	readonly settings: CacheSettings;
	readonly vcl: Omit<VclSource, "name">;
	/** The VCL and everything that it includes, as the compiler read it. */
	readonly includes: readonly string[];
	/** PEM texts by file name. */
	readonly certificates: Readonly<Record<string, string>>;
	/** What the compiler warned of, and certificates that will not do for long; empty when nothing. */
	readonly warnings: string;
}

/** Null when the folder's appliance.toml has no [cache]. Throws an Error in the operator's words. */
export async function readRevision(
	folder: string,
	config?: DroverConfig | null,
): Promise<CacheRevision | null> {
	const path = join(folder, "appliance.toml");
	if (!existsSync(path)) return null;
	const settings = parseSettings(readFileSync(path, "utf8")).cache;
	if (settings === undefined) return null;
	const keepalived = join(folder, "keepalived.conf");
	const model = config !== undefined ? config : existsSync(keepalived) ? loadConfig(keepalived).config : null;
	refuseShadowed(settings, model, path);
	const { certificates, remarks } = certificatesOf(folder, settings);
	const vcl = sourceOf(folder, settings, model);
	const parameters = parametersOf(settings, folder);
	const result = await compileForShelf(
		{ name: "check", ...vcl },
		parameters,
		[],
		[...settings.storage.map(({ name }) => name), TRANSIENT],
	);
	if (!result.ok) throw new Error(result.message);
	const { sources, warnings } = result.vcl.compiled;
	return {
		settings,
		vcl,
		certificates,
		includes: sources.map(({ text }) => text),
		warnings: [...remarks, warnings].filter((text) => text !== "").join("\n"),
	};
}

function certificatesOf(
	folder: string,
	settings: CacheSettings,
): { readonly certificates: Readonly<Record<string, string>>; readonly remarks: readonly string[] } {
	const certificates = new Map<string, string>();
	const remarks: string[] = [];
	for (const { certificate: name } of settings.tls) {
		if (certificates.has(name)) continue;
		const file = join(folder, name);
		if (!existsSync(file))
			throw new Error(
				`${join(folder, "appliance.toml")}: the revision has no file "${name}", which [[cache.tls]] certificate names`,
			);
		const certificate = readFileSync(file, "latin1");
		certificates.set(name, certificate);
		const remark = inspectCertificate(certificate, name, Date.now());
		if (remark !== null) remarks.push(remark);
	}
	return { certificates: Object.fromEntries(certificates), remarks };
}

/** IPVS takes a virtual server's connections before any local socket sees them. */
function refuseShadowed(settings: CacheSettings, config: DroverConfig | null, path: string): void {
	for (const text of [...settings.listen, ...settings.tls.map(({ listen }) => listen)]) {
		const listener = parseListener(text);
		if (listener?.address == null) continue;
		const bytes = parseAddress(listener.address)?.toString();
		const shadow = config?.virtualServers.find(
			({ name, protocol }) =>
				name.kind === "address" &&
				protocol === "TCP" &&
				name.port === listener.port &&
				parseAddress(name.address)?.toString() === bytes,
		);
		if (shadow !== undefined)
			throw new Error(
				`${path}: the cache cannot listen on ${text}: the virtual server of ${shadow.location.file}:${shadow.location.line} takes its connections; give the cache an address or a port of its own`,
			);
	}
}

function sourceOf(
	folder: string,
	settings: CacheSettings,
	config: DroverConfig | null,
): Omit<VclSource, "name"> {
	const provided: Record<string, string> = {};
	if (settings.pool !== undefined) {
		const pool = findPool(config?.virtualServers ?? [], settings.pool);
		if (pool === undefined)
			throw new Error(
				`${join(folder, "appliance.toml")}: keepalived.conf has no virtual server "${settings.pool}", which [cache] pool names`,
			);
		provided[POOL_FILE] = poolVcl(pool);
	}
	if (settings.backend !== undefined)
		return { source: backendVcl(settings.backend), file: "<backend>", provided };
	if (settings.vcl === undefined) return { source: poolOnlyVcl, file: "<pool>", provided };
	const file = join(folder, settings.vcl);
	if (!existsSync(file))
		throw new Error(
			`${join(folder, "appliance.toml")}: the revision has no file "${settings.vcl}", which [cache] vcl names`,
		);
	return { source: readFileSync(file, "latin1"), file, provided };
}

/** The revision's parameters; its own files are where an include looks. */
export function parametersOf(settings: CacheSettings, folder: string): ParameterSet {
	const parameters = new ParameterSet();
	const set = (name: string, value: string) => {
		const result = parameters.set(name, value, false);
		if (!result.ok) throw new Error(`[cache.parameters] ${name}: ${result.message}`);
	};
	set("vsl_space", LOG_SPACE);
	set("vcl_path", folder);
	for (const [name, value] of Object.entries(settings.parameters)) set(name, value);
	return parameters;
}

/** Where the files of storages lie that are kept over restarts. */
const storageDirectory = () => process.env["DROVER_CACHE_DIR"] ?? "/data/cache";

/** ":80" is every address of both families. */
function listenersOf(text: string, name: string, certificate?: string): ListenerOption[] {
	const { address, port } = parseListener(text)!;
	const hosts = address === null ? ["0.0.0.0", "::"] : [address];
	return hosts.map((host) => ({
		name,
		text,
		host,
		port: String(port),
		path: undefined,
		transport: "HTTP/1",
		mode: undefined,
		user: undefined,
		group: undefined,
		tls: certificate,
		administrative: false,
	}));
}

function storageOf({ kind, name, size }: CacheSettings["storage"][number]): StorageOption {
	const bytes = parseSize(size)!;
	switch (kind) {
		case "memory":
			return { name, isNamed: true, kind: "malloc", written: "malloc", path: undefined, bytes };
		case "file":
			return {
				name,
				isNamed: true,
				kind: "persistent",
				written: "persistent",
				path: join(storageDirectory(), name),
				bytes,
			};
	}
}

/** Named "ask", for `drover cache why` and `purge`: a socket that only root reaches. */
export const ASK_LISTENER = "ask";

/**
 * The settings as varnishd's options. `directory` holds the shared memory and the socket for questions, `folder` the
 * revision's files.
 */
export function optionsOf(settings: CacheSettings, directory: string, folder: string): Options {
	return {
		listeners: [
			...settings.listen.flatMap((text, index) => listenersOf(text, `a${index}`)),
			...settings.tls.flatMap(({ listen, certificate }, index) =>
				listenersOf(listen, `tls${index}`, join(folder, certificate)),
			),
			{
				name: ASK_LISTENER,
				text: join(directory, "ask.sock"),
				host: "",
				port: "",
				path: join(directory, "ask.sock"),
				transport: "HTTP/1",
				mode: 0o600,
				user: undefined,
				group: undefined,
				tls: undefined,
				administrative: true,
			},
		],
		backend: undefined,
		files: [],
		directory,
		mode: "foreground",
		cliAddresses: [],
		reverseCli: undefined,
		secret: undefined,
		pidFiles: [],
		commandFile: undefined,
		identity: undefined,
		parameters: Object.entries(settings.parameters).map(([name, value]) => ({ name, value })),
		readOnly: [],
		storages: [...settings.storage.map(storageOf), unboundedTransient],
		metrics: undefined,
		accessLog: undefined,
		cacheStatus: settings.cache_status,
	};
}
