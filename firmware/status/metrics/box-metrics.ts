/** The box in figures: what SNMP answers, as OpenMetrics families. Pure. */
import type { BoxFacts } from "../box/facts.ts";
import type { RealServerStatus, VirtualServerStatus } from "../director.ts";
import type { VrrpInstanceStatus } from "../vrrp.ts";
import { type Labels, type MetricFamily, type Sample, stateSamples } from "./openmetrics.ts";

const VRRP_STATES = ["INIT", "BACKUP", "MASTER", "FAULT"];
const KIB = 1024;

const one = (value: number | bigint, labels: Labels = {}): Sample[] => [{ labels, value }];
const flag = (value: boolean, labels: Labels = {}) => one(value ? 1 : 0, labels);

function gauge(name: string, help: string, samples: readonly Sample[], unit?: string): MetricFamily {
	return { name: `drover_${name}`, kind: "gauge", help, samples, ...(unit === undefined ? {} : { unit }) };
}
function counter(name: string, help: string, samples: readonly Sample[], unit?: string): MetricFamily {
	return { ...gauge(name, help, samples, unit), kind: "counter" };
}

export function boxMetrics(facts: BoxFacts): MetricFamily[] {
	return [
		...firmware(facts),
		...host(facts),
		...interfaces(facts),
		...vrrp(facts),
		...virtualServers(facts.director?.virtualServers ?? []),
		...realServers(facts.director?.virtualServers ?? []),
		...cache(facts),
	];
}

function firmware({ firmware: box, vrrp: election, director, cache: store }: BoxFacts): MetricFamily[] {
	const { version, slot, slotReason } = box;
	const services = { vrrp: election !== null, director: director !== null, cache: store !== null };
	return [
		{
			name: "drover_firmware",
			kind: "info",
			help: "The running firmware, its slot, and why the loader chose it",
			samples: one(1, { version, slot, reason: slotReason }),
		},
		gauge("firmware_on_trial", "1 while a new firmware has not proved itself", flag(box.onTrial)),
		gauge("firmware_reverted", "1 after a new firmware did not prove itself", flag(box.reverted)),
		gauge("config_revision", "The configuration revision in force", one(box.configRevision)),
		gauge(
			"commit_timer_seconds",
			"Until an unconfirmed commit is taken back; 0 when none waits",
			one(box.commitTimerSeconds),
			"seconds",
		),
		gauge("watchdog_armed", "1 while a hardware watchdog is armed", flag(box.watchdogArmed)),
		gauge(
			"service_answers",
			"1 when the service answers on its socket",
			Object.entries(services).flatMap(([service, answers]) => flag(answers, { service })),
		),
	];
}

function host({ host: box }: BoxFacts): MetricFamily[] {
	const memory = (name: string) => (box.memoryKib[name] ?? 0) * KIB;
	const perPath = (read: (row: (typeof box.fileSystems)[number]) => number) =>
		box.fileSystems.flatMap((row) => one(read(row), { path: row.path }));
	return [
		gauge("uptime_seconds", "Since the box was started", one(box.hostUpMs / 1000), "seconds"),
		gauge(
			"load",
			"Load average over so many minutes",
			["1", "5", "15"].flatMap((minutes, index) => one(box.loadAverages[index]!, { minutes })),
		),
		gauge("processes", "Processes on the box", one(box.processes)),
		gauge("memory_total_bytes", "Memory of the box", one(memory("MemTotal")), "bytes"),
		gauge(
			"memory_available_bytes",
			"Memory that programs may still get",
			one(memory("MemAvailable")),
			"bytes",
		),
		gauge(
			"processor_busy_ratio",
			"Busy share of a processor since the last look",
			box.processorLoads.flatMap((percent, index) => one(percent / 100, { processor: String(index) })),
			"ratio",
		),
		gauge(
			"file_system_size_bytes",
			"Size of a file system",
			perPath((row) => row.blocks * row.blockBytes),
			"bytes",
		),
		gauge(
			"file_system_used_bytes",
			"Used part of a file system",
			perPath((row) => row.usedBlocks * row.blockBytes),
			"bytes",
		),
	];
}

function interfaces({ interfaces: ports }: BoxFacts): MetricFamily[] {
	const statistics: readonly (readonly [string, string, string, string?])[] = [
		["interface_receive_bytes", "rx_bytes", "Received", "bytes"],
		["interface_transmit_bytes", "tx_bytes", "Sent", "bytes"],
		["interface_receive_packets", "rx_packets", "Packets received"],
		["interface_transmit_packets", "tx_packets", "Packets sent"],
		["interface_receive_errors", "rx_errors", "Packets received with errors"],
		["interface_transmit_errors", "tx_errors", "Packets that could not be sent"],
		["interface_receive_dropped", "rx_dropped", "Packets received and dropped"],
		["interface_transmit_dropped", "tx_dropped", "Packets dropped instead of sent"],
	];
	const name = (port: (typeof ports)[number]): Labels => ({ interface: port.name });
	return [
		gauge(
			"interface_up",
			"1 while frames can pass",
			ports.flatMap((port) => flag(port.operUp, name(port))),
		),
		gauge(
			"interface_speed_bits_per_second",
			"Speed of the link; 0 when the driver does not say",
			ports.flatMap((port) => one(port.speedMbits * 1e6, name(port))),
		),
		...statistics.map(([metric, file, help, unit]) =>
			counter(
				metric,
				help,
				ports.flatMap((port) => one(port.statistics[file] ?? 0n, name(port))),
				unit,
			),
		),
	];
}

function vrrp({ vrrp: status }: BoxFacts): MetricFamily[] {
	const instances = status?.instances ?? [];
	const each = (read: (instance: VrrpInstanceStatus) => number) =>
		instances.flatMap((instance) => one(read(instance), { instance: instance.name }));
	const counters = [...new Set(instances.flatMap((instance) => Object.keys(instance.counters)))];
	return [
		{
			name: "drover_vrrp_state",
			kind: "stateset",
			help: "State of a VRRP instance",
			samples: instances.flatMap(({ name, state }) =>
				stateSamples("drover_vrrp_state", { instance: name }, VRRP_STATES, state),
			),
		},
		{
			name: "drover_vrrp_sync_group_state",
			kind: "stateset",
			help: "State of a VRRP sync group",
			samples: (status?.syncGroups ?? []).flatMap(({ name, state }) =>
				stateSamples("drover_vrrp_sync_group_state", { group: name }, VRRP_STATES, state),
			),
		},
		gauge(
			"vrrp_state_since_timestamp_seconds",
			"When the instance entered its state",
			each(({ sinceMs }) => sinceMs / 1000),
			"seconds",
		),
		gauge(
			"vrrp_base_priority",
			"Priority as configured",
			each(({ basePriority }) => basePriority),
		),
		gauge(
			"vrrp_effective_priority",
			"Priority as tracking has changed it",
			each(({ effectivePriority }) => effectivePriority),
		),
		gauge(
			"vrrp_conflict",
			"1 while a second master is heard",
			each(({ conflict }) => (conflict === null ? 0 : 1)),
		),
		...counters.map((key) =>
			counter(
				`vrrp_${snake(key)}`,
				`keepalived's counter: ${snake(key).replaceAll("_", " ")}`,
				each((instance) => instance.counters[key] ?? 0),
			),
		),
	];
}

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function virtualServers(servers: readonly VirtualServerStatus[]): MetricFamily[] {
	const each = (read: (server: VirtualServerStatus) => number) =>
		servers.flatMap((server) => one(read(server), { virtual_server: server.name }));
	return [
		gauge(
			"virtual_server_real_servers",
			"Real servers as configured",
			each((server) => server.totalRealServers),
		),
		gauge(
			"virtual_server_real_servers_alive",
			"Real servers that are alive",
			each((server) => server.aliveRealServers),
		),
		gauge(
			"virtual_server_quorum",
			"Weight that must be alive",
			each((server) => server.quorum),
		),
		gauge(
			"virtual_server_quorum_up",
			"1 while the quorum is met",
			each((server) => Number(server.quorumUp)),
		),
		gauge(
			"virtual_server_on_sorry_server",
			"1 while the sorry server answers",
			each((server) => Number(server.onSorryServer)),
		),
		counter(
			"virtual_server_connections",
			"Connections that the kernel scheduled",
			each((server) => server.connections),
		),
		gauge(
			"virtual_server_connections_per_second",
			"Connections per second, by the kernel's estimate",
			each((server) => server.connectionsPerSecond),
		),
		gauge(
			"virtual_server_in_bytes_per_second",
			"Bytes from clients per second, by the kernel's estimate",
			each((server) => server.inBytesPerSecond),
		),
		gauge(
			"virtual_server_out_bytes_per_second",
			"Bytes to clients per second, by the kernel's estimate",
			each((server) => server.outBytesPerSecond),
		),
	];
}

function realServers(servers: readonly VirtualServerStatus[]): MetricFamily[] {
	const each = (read: (server: RealServerStatus) => number) =>
		servers.flatMap(({ name, realServers: members }) =>
			members.flatMap((member) => {
				const { address, port } = member;
				const real = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
				return one(read(member), { virtual_server: name, real_server: real });
			}),
		);
	return [
		gauge(
			"real_server_up",
			"1 while the real server is alive",
			each(({ alive }) => Number(alive)),
		),
		gauge(
			"real_server_weight",
			"Weight in the kernel's table",
			each(({ weight }) => weight),
		),
		gauge(
			"real_server_active_connections",
			"Connections that are open",
			each((server) => server.activeConnections),
		),
		gauge(
			"real_server_inactive_connections",
			"Connections that are closing",
			each((server) => server.inactiveConnections),
		),
		counter(
			"real_server_connections",
			"Connections that the kernel gave it",
			each((server) => server.connections ?? 0),
		),
	];
}

function cache({ cache: store }: BoxFacts): MetricFamily[] {
	if (store === null) return [];
	return [
		counter("cache_requests", "Requests of clients to the HTTP cache", one(store.requests)),
		counter("cache_hits", "Requests answered from the cache", one(store.hits)),
		counter("cache_misses", "Requests for which a web server was asked", one(store.misses)),
		gauge(
			"cache_hit_ratio",
			"Hits among hits and misses of the last seconds",
			store.recentHitRatio === null ? [] : one(store.recentHitRatio),
			"ratio",
		),
	];
}
