/** Looks at the box: /proc, /sys, the services' sockets. */
import { readdirSync, readFileSync, statfsSync } from "node:fs";
import { hostname, release, version } from "node:os";
import { z } from "zod";
import { call } from "../../bus/client.ts";
import type { DroverConfig } from "../../config/model.ts";
import { interfaceAddresses } from "../../kernel/interface-addresses.ts";
import type { DirectorStatus } from "../director.ts";
import type { VrrpStatus } from "../vrrp.ts";
import type { BoxFacts, CacheFacts, FirmwareFacts, HostFacts, InterfaceFacts } from "./facts.ts";
import { assignIndices, type IndexTable } from "./interface-index.ts";
import { readFirmware } from "./read-firmware.ts";

const SERVICE_TIMEOUT_MS = 500;
/** A reload that the status does not tell of shows after this at the latest. */
const CONFIG_LIFETIME_MS = 10_000;

const read = (path: string): string | null => {
	try {
		return readFileSync(path, "utf8").trim();
	} catch {
		return null;
	}
};
const list = (path: string): readonly string[] => {
	try {
		return readdirSync(path);
	} catch {
		return [];
	}
};

/** What changes between two looks and has to be remembered. */
export interface Memory {
	indices: IndexTable;
	/** performance.now() when the looking began. */
	readonly startedAt: number;
	/** When each interface entered its state; since the looking began, milliseconds. */
	readonly linkChanges: Map<string, { operUp: boolean; atMs: number }>;
	/** The configuration, and of which start and reload of the services it is. */
	config: { readonly version: string; readonly atMs: number; readonly config: DroverConfig | null } | null;
	/** /proc/stat's busy and total ticks per processor at the last look. */
	processorTicks: readonly { readonly busy: number; readonly total: number }[];
}

export function newMemory(indices: IndexTable): Memory {
	return { indices, startedAt: performance.now(), linkChanges: new Map(), config: null, processorTicks: [] };
}

export async function readBox(memory: Memory): Promise<BoxFacts> {
	const upMs = performance.now() - memory.startedAt;
	const firmware = readFirmware(Date.now());
	const service = <T>(name: string, method: string) =>
		call<T>(name, method, {}, SERVICE_TIMEOUT_MS).catch(() => null);
	const [vrrp, director, cache] = await Promise.all([
		service<VrrpStatus>("vrrp", "status"),
		service<DirectorStatus>("director", "status"),
		service<unknown>("cache", "status"),
	]);
	// A configuration of a thousand servers is asked for only when it may be another one.
	const version = JSON.stringify([director?.startedAtMs, director?.reload?.atMs, vrrp?.startedAtMs]);
	const known = memory.config;
	if (
		known === null ||
		known.config === null ||
		known.version !== version ||
		upMs - known.atMs > CONFIG_LIFETIME_MS
	) {
		const config =
			(await service<DroverConfig>("director", "config")) ?? (await service<DroverConfig>("vrrp", "config"));
		memory.config = { version, atMs: upMs, config };
	}
	return {
		host: readHost(firmware, memory),
		interfaces: readInterfaces(memory, upMs),
		firmware,
		config: memory.config!.config,
		vrrp,
		director,
		cache: readCache(cache),
	};
}

const cacheSchema = z.object({
	total: z.object({ requests: z.number(), hits: z.number(), misses: z.number() }),
	recent: z.object({ hitRatio: z.number().nullable() }),
});

function readCache(status: unknown): CacheFacts | null {
	const parsed = cacheSchema.safeParse(status);
	return parsed.success ? { ...parsed.data.total, recentHitRatio: parsed.data.recent.hitRatio } : null;
}

function readHost(firmware: FirmwareFacts, memory: Memory): HostFacts {
	const meminfo = [...(read("/proc/meminfo") ?? "").matchAll(/^(\w+):\s+(\d+)/gm)];
	const loads = (read("/proc/loadavg") ?? "0 0 0").split(" ").slice(0, 3).map(Number);
	return {
		hostName: hostname(),
		description: `Drover ${firmware.version}, slot ${firmware.slot}, Linux ${release()} ${version()}`,
		hostUpMs: Number((read("/proc/uptime") ?? "0").split(" ")[0]) * 1000,
		dateMs: Date.now(),
		processes: list("/proc").filter((name) => /^\d+$/.test(name)).length,
		loadAverages: [loads[0] ?? 0, loads[1] ?? 0, loads[2] ?? 0],
		memoryKib: Object.fromEntries(meminfo.map((match) => [match[1]!, Number(match[2])])),
		processorLoads: readProcessors(memory),
		fileSystems: ["/", "/data"].flatMap(readFileSystem),
	};
}

function readProcessors(memory: Memory): readonly number[] {
	const now = [...(read("/proc/stat") ?? "").matchAll(/^cpu\d+ (.*)$/gm)].map((match) => {
		const ticks = match[1]!.split(" ").map(Number);
		const total = ticks.slice(0, 8).reduce((sum, value) => sum + value, 0);
		return { busy: total - ticks[3]! - ticks[4]!, total };
	});
	const before = memory.processorTicks;
	memory.processorTicks = now;
	return now.map(({ busy, total }, index) => {
		const passed = total - (before[index]?.total ?? 0);
		return passed <= 0 ? 0 : (100 * (busy - (before[index]?.busy ?? 0))) / passed;
	});
}

function readFileSystem(path: string): HostFacts["fileSystems"] {
	try {
		const { bsize, blocks, bfree } = statfsSync(path);
		return [{ path, blockBytes: bsize, blocks, usedBlocks: blocks - bfree }];
	} catch {
		return [];
	}
}

function readInterfaces(memory: Memory, nowMs: number): readonly InterfaceFacts[] {
	const names = list("/sys/class/net").filter((name) => name !== "bonding_masters");
	memory.indices = assignIndices(memory.indices, [...names].sort());
	// What was there at the first look has been as it is since before; a port that comes later has changed then.
	const isFirstLook = memory.linkChanges.size === 0;
	for (const name of memory.linkChanges.keys()) if (!names.includes(name)) memory.linkChanges.delete(name);
	const addresses = interfaceAddresses();
	return names.flatMap((name) => {
		const base = `/sys/class/net/${name}`;
		const kernelIndex = read(`${base}/ifindex`);
		// It went while the others were read.
		if (kernelIndex === null) return [];
		const flags = Number(read(`${base}/flags`) ?? 0);
		const state = read(`${base}/operstate`);
		const adminUp = (flags & 1) !== 0;
		const operUp = state === "up" || (state === "unknown" && adminUp);
		const change = memory.linkChanges.get(name);
		if (change === undefined || change.operUp !== operUp)
			memory.linkChanges.set(name, { operUp, atMs: isFirstLook ? 0 : nowMs });
		return {
			index: memory.indices[name]!,
			name,
			alias: read(`${base}/ifalias`) ?? "",
			type: { 1: 6, 772: 24 }[Number(read(`${base}/type`))] ?? 1,
			mtu: Number(read(`${base}/mtu`) ?? 0),
			speedMbits: Math.max(0, Number(read(`${base}/speed`) ?? 0)),
			macAddress: Uint8Array.from((read(`${base}/address`) ?? "").matchAll(/[0-9a-f]{2}/g), ([octet]) =>
				Number.parseInt(octet, 16),
			),
			adminUp,
			operUp,
			lastChangeMs: memory.linkChanges.get(name)!.atMs,
			statistics: Object.fromEntries(
				list(`${base}/statistics`).map((file) => [file, BigInt(read(`${base}/statistics/${file}`) ?? 0)]),
			),
			addresses: (addresses.get(Number(kernelIndex)) ?? []).map(({ address, prefixLength, flags: bits }) => ({
				address,
				prefixLength,
				flags: bits,
			})),
		};
	});
}
