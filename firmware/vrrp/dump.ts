/** The texts that SIGUSR1 and SIGUSR2 write, laid out as keepalived 2.2.7 lays them out: exporters parse them. Pure. */
import type {
	DroverConfig,
	Script,
	TrackFileConfig,
	TrackProcessConfig,
	TrackScriptConfig,
	VrrpInstanceConfig,
} from "../config/model.ts";
import { syncGroupOf, TRACKED_LISTS, type TrackedList, trackedBy } from "../config/tracked.ts";
import { named } from "../named.ts";
import type { Engine } from "./engine.ts";
import { masterDownInterval, type Router } from "./router.ts";

type NumbersOf = (script: Script) => { readonly uid: number; readonly gid: number };

/** keepalived.stats. */
export function statsText(engine: Engine): string {
	return engine.routers
		.map(({ config, counters }) =>
			[
				`VRRP Instance: ${config.name}`,
				"  Advertisements:",
				`    Received: ${counters.advertisementsReceived}`,
				`    Sent: ${counters.advertisementsSent}`,
				`  Became master: ${counters.becameMaster}`,
				`  Released master: ${counters.releasedMaster}`,
				"  Packet Errors:",
				`    Length: ${counters.packetLengthErrors}`,
				`    TTL: ${counters.ttlErrors}`,
				`    Invalid Type: ${counters.invalidTypeReceived}`,
				`    Advertisement Interval: ${counters.advertisementIntervalErrors}`,
				`    Address List: ${counters.addressListErrors}`,
				"  Authentication Errors:",
				`    Invalid Type: ${counters.invalidAuthenticationType}`,
				`    Type Mismatch: ${counters.authenticationTypeMismatch}`,
				`    Failure: ${counters.authenticationFailure}`,
				"  Priority Zero:",
				`    Received: ${counters.priorityZeroReceived}`,
				`    Sent: ${counters.priorityZeroSent}`,
				"",
			].join("\n"),
		)
		.join("");
}

/**
 * keepalived.data, the parts about VRRP. `wallMs` turns the engine's microseconds into Unix milliseconds;
 * `runningScripts`: names of tracked scripts that run at this moment; `numbersOf`: whom a script runs as.
 */
export function dataText(
	engine: Engine,
	wallMs: (atMicros: number) => number,
	runningScripts: ReadonlySet<string> = new Set(),
	numbersOf: NumbersOf = () => ({ uid: 0, gid: 0 }),
): string {
	const { config } = engine;
	return [
		"------< Global definitions >------",
		...globalLines(config),
		"------< VRRP Topology >------",
		...engine.routers.flatMap((router) => instanceLines(router, config, wallMs)),
		...(config.syncGroups.length === 0 ? [] : ["------< VRRP Sync groups >------"]),
		...config.syncGroups.flatMap((group) => [
			` VRRP Sync Group = ${group.name}, ${named(engine.groupStates, group.name) ?? "INIT"}`,
			"   VRRP member instances :",
			...group.members.map((name) => `     ${name}`),
			...(group.trackingWeight ? ["   sync group tracking weight set"] : []),
			`   Using smtp notification = ${group.smtpAlert ? "yes" : "no"}`,
			...trackedLines(group, "   Tracked process :"),
		]),
		...listed(
			"------< VRRP Scripts >------",
			config.trackScripts.flatMap((script) => scriptLines(script, engine, runningScripts, numbersOf)),
		),
		...listed(
			"------< VRRP Track files >------",
			config.trackFiles.flatMap((file) => fileLines(file, engine)),
		),
		...listed(
			"------< VRRP Track processes >------",
			config.trackProcesses.flatMap((process) => processLines(process, engine)),
		),
		"------< Interfaces >------",
		...Object.values(engine.readings.interfaces).flatMap(({ name, index, up, addresses }) => [
			` Name = ${name}`,
			`   index = ${index}`,
			`   IPv4 address = ${addresses.find((address) => !address.includes(":")) ?? "(none)"}`,
			`   IPv6 address = ${addresses.find((address) => address.includes(":")) ?? "(none)"}`,
			`   State = ${up ? "UP, RUNNING" : "not UP"}`,
		]),
		"",
	].join("\n");
}

function globalLines({ global }: DroverConfig): string[] {
	return [
		` Router ID = ${global.routerId}`,
		` VRRP IPv4 mcast group = ${global.multicastGroup4}`,
		` VRRP IPv6 mcast group = ${global.multicastGroup6}`,
		` Gratuitous ARP interval = ${(global.garpIntervalMicros / 1e6).toFixed(6)}`,
		` Gratuitous NA interval = ${(global.gnaIntervalMicros / 1e6).toFixed(6)}`,
		` Script security ${global.enableScriptSecurity ? "enabled" : "disabled"}`,
	];
}

function instanceLines(router: Router, config: DroverConfig, wallMs: (atMicros: number) => number): string[] {
	const instance = router.config;
	const group = syncGroupOf(config.syncGroups, instance.name);
	const yes = (value: boolean) => (value ? "enabled" : "disabled");
	const transition = wallMs(router.sinceMicros);
	return [
		` VRRP Instance = ${instance.name}`,
		`   VRRP Version = ${instance.version}`,
		...(group === null ? [] : [`   Sync group = ${group.name}`]),
		`   State = ${router.state}`,
		`   Wantstate = ${router.wantsMaster ? "MASTER" : router.state}`,
		`   Number of config faults = 0`,
		`   Number of interface and track script faults = ${router.faults.filter(({ pending }) => !pending).length}`,
		`   Number of track scripts init = ${router.faults.filter(({ pending }) => pending).length}`,
		`   Last transition = ${(transition / 1000).toFixed(6)} (${dateText(transition)})`,
		`   Master down timer = ${masterDownInterval(router)} usecs`,
		`   Interface = ${instance.interface ?? "(none)"}`,
		`   Using src_ip = ${router.sourceAddress ?? "(none)"}`,
		...(instance.unicastPeers.length === 0
			? [`   Multicast address ${instance.multicastDestination}`]
			: ["   Unicast Peer :", ...instance.unicastPeers.map(({ address }) => `     ${address}`)]),
		`   Gratuitous ARP delay = ${instance.garp.delayMs / 1000}`,
		`   Gratuitous ARP repeat = ${instance.garp.repeat}`,
		`   Gratuitous ARP refresh = ${instance.garp.refreshMs / 1000}`,
		`   Gratuitous ARP refresh repeat = ${instance.garp.refreshRepeat}`,
		`   Gratuitous ARP lower priority delay = ${instance.garp.lowerPriorityDelayMs / 1000}`,
		`   Gratuitous ARP lower priority repeat = ${instance.garp.lowerPriorityRepeat}`,
		`   Down timer adverts = ${instance.downTimerAdverts}`,
		`   Send advert after receive lower priority advert = ${!instance.lowerPriorityNoAdvert}`,
		`   Send advert after receive higher priority advert = ${instance.higherPrioritySendAdvert}`,
		`   Virtual Router ID = ${instance.virtualRouterId}`,
		`   Priority = ${instance.priority}`,
		`   Effective priority = ${router.priority}`,
		`   Total priority = ${router.priority}`,
		...(router.master === null || router.state === "MASTER"
			? []
			: [`   Master router = ${router.master.address}`, `   Master priority = ${router.master.priority}`]),
		`   Advert interval = ${intervalText(instance)}`,
		`   Accept = ${yes(instance.accept)}`,
		`   Preempt = ${yes(instance.preempt)}`,
		`   Promote_secondaries = ${yes(instance.promoteSecondaries)}`,
		...(instance.authentication === null
			? []
			: [
					`   Authentication type = ${instance.authentication.type === "PASS" ? "SIMPLE_PASSWORD" : "IPSEC_AH"}`,
					"   Password = ********",
				]),
		`   Virtual IP (${instance.virtualAddresses.length}):`,
		...instance.virtualAddresses.map(
			({ address, prefixLength, interface: device, label }) =>
				`     ${address}/${prefixLength} dev ${device ?? instance.interface} scope global${label === null ? "" : ` label ${label}`}${router.state === "MASTER" ? " set" : ""}`,
		),
		...trackedLines(instance, "   Tracked processes :"),
		`   Using smtp notification = ${instance.smtpAlert ? "yes" : "no"}`,
	];
}

/** A heading over its lines; nothing without lines. */
function listed(heading: string, lines: readonly string[]): readonly string[] {
	return lines.length === 0 ? [] : [heading, ...lines];
}

const weightText = ({ weight, reverse }: { readonly weight: number; readonly reverse: boolean }) =>
	`${weight}${reverse ? " reverse" : ""}`;

/** What an instance or a group itself tracks, with its own weights; processes have a heading for each of the two. */
function trackedLines(
	owner: Pick<VrrpInstanceConfig, TrackedList>,
	processesHeading: string,
): readonly string[] {
	const headings: Readonly<Record<TrackedList, readonly [heading: string, behindName: string]>> = {
		trackInterfaces: ["   Tracked interfaces :", ""],
		trackScripts: ["   Tracked scripts :", ""],
		trackFiles: ["   Tracked files :", ","],
		trackProcesses: [processesHeading, ","],
		trackBfd: ["   Tracked BFDs :", ":"],
	};
	return TRACKED_LISTS.flatMap((list) => {
		const [heading, behindName] = headings[list];
		return listed(
			heading,
			owner[list].map((reference) => `     ${reference.name}${behindName} weight ${weightText(reference)}`),
		);
	});
}

/** The instances that an object bears on, each with the weight that counts for it. */
function trackingLines(list: TrackedList, name: string, config: DroverConfig): readonly string[] {
	const lines = config.vrrpInstances.flatMap((instance) =>
		trackedBy(instance, syncGroupOf(config.syncGroups, instance.name), list)
			.filter((reference) => reference.name === name)
			.map((reference) => `     ${instance.name}, weight ${weightText(reference)}`),
	);
	return listed("   Tracking instances :", lines);
}

const wholeSeconds = (ms: number) => Math.floor(ms / 1000);

function scriptLines(
	script: TrackScriptConfig,
	{ config, readings }: Engine,
	running: ReadonlySet<string>,
	numbersOf: NumbersOf,
): string[] {
	const { uid, gid } = numbersOf(script.script);
	const { name, rise } = script;
	const { counter = 0, up = null } = named(readings.scripts, name) ?? {};
	return [
		` VRRP Script = ${name}`,
		`   Command = ${script.script.command.map((word) => `'${word}'`).join(" ")}`,
		`   Interval = ${wholeSeconds(script.intervalMs)} sec`,
		`   Timeout = ${wholeSeconds(script.timeoutMs)} sec`,
		`   Weight = ${weightText(script)}`,
		`   Rise = ${rise}`,
		`   Fall = ${script.fall}`,
		`   Result = ${counter}`,
		"   Insecure = no",
		`   Init state = ${up === null ? "INIT" : "unknown"}`,
		`   Status = ${up === true ? "GOOD" : "BAD"}`,
		`   Script uid:gid = ${uid}:${gid}`,
		"   VRRP instances :",
		...trackingLines("trackScripts", name, config),
		`   State = ${running.has(name) ? "running" : "idle"}`,
	];
}

function fileLines(file: TrackFileConfig, { config, readings }: Engine): string[] {
	return [
		` Track file = ${file.name}`,
		`   File = ${file.path}`,
		`   Status = ${named(readings.files, file.name) ?? 0}`,
		`   Weight = ${weightText(file)}`,
		...trackingLines("trackFiles", file.name, config),
	];
}

function processLines(config: TrackProcessConfig, { config: all, readings }: Engine): string[] {
	const { name, process, match, quorum, quorumMax } = config;
	const [path = "", ...parameters] = process;
	const reading = named(readings.processes, name);
	const runs = (delayed: boolean) => (reading?.enough.candidate === delayed ? "running" : "not running");
	return [
		` VRRP Track process = ${name}`,
		`   Process = ${path}`,
		...(parameters.length === 0 ? [] : [`   Parameters = ${parameters.join(" ")}`]),
		...(parameters.length > 0 ? [`   Param match${match === "exact" ? "" : ` = ${match}`}`] : []),
		`   Min processes = ${quorum}`,
		...(quorumMax === null ? [] : [`   Max processes = ${quorumMax}`]),
		`   Current processes = ${reading?.count ?? 0}`,
		`   Have quorum = ${reading?.enough.value ?? false}`,
		`   Weight = ${weightText(config)}`,
		`   Terminate delay = ${(config.terminateDelayMs / 1000).toFixed(6)}s`,
		`   Fork delay = ${(config.forkDelayMs / 1000).toFixed(6)}s`,
		`   Fork delay timer ${runs(true)}`,
		`   Terminate delay timer ${runs(false)}`,
		`   Full command = ${config.fullCommand || parameters.length > 0}`,
		...trackingLines("trackProcesses", name, all),
	];
}

function intervalText({ version, advertIntervalMicros }: VrrpInstanceConfig): string {
	return version === 2
		? `${advertIntervalMicros / 1_000_000} sec`
		: `${advertIntervalMicros / 1_000} milli-sec`;
}

/** As ctime(3) writes it, with microseconds, in UTC. */
function dateText(unixMs: number): string {
	const date = new Date(unixMs);
	const days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
	const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
	const clock = date.toISOString().slice(11, 23);
	return `${days[date.getUTCDay()]} ${months[date.getUTCMonth()]} ${String(date.getUTCDate()).padStart(2)} ${clock}000 ${date.getUTCFullYear()}`;
}
