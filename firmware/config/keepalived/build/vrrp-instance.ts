/** vrrp_instance: one virtual router with every default filled in. keepalived.conf(5), "VRRP instance(s)". */
import type {
	AddressConfig,
	AddressFamily,
	AuthHmac,
	GarpSchedule,
	NotifyScripts,
	UnicastPeer,
	VmacConfig,
	VrrpInstanceConfig,
} from "../../model.ts";
import { parseWhole, secondsText } from "../numbers.ts";
import type { DataLine, Statement } from "../statement.ts";
import { readAddress, readPrefix } from "./address.ts";
import { readAddressLines } from "./address-lines.ts";
import { Settings } from "./block.ts";
import type { BuildContext } from "./context.ts";
import type { GarpGaps } from "./interfaces.ts";
import { readRoutes, readRules } from "./routes.ts";
import { buildReferences, type Trackers } from "./tracking.ts";

/** RFC 5798 §5.2.7: 12 bits of centiseconds. */
const V3_MAX_INTERVAL_MICROS = 40_950_000;
const AUTH_PASS_BYTES = 8;

export function buildInstance(
	context: BuildContext,
	statement: Statement,
	index: number,
	trackers: Trackers,
	gaps: GarpGaps,
): VrrpInstanceConfig | null {
	const settings = new Settings(statement.body!);
	const { globals } = context;
	const name = statement.words[0]!;
	const title = name;

	const vridStatement = settings.last("virtual_router_id");
	if (vridStatement === null) {
		context.error(
			statement,
			"incomplete",
			`${title}: virtual_router_id is missing`,
			`the whole instance ${name}, and its addresses`,
			{ suggestion: 'write "virtual_router_id N", a number from 1 to 255 that all its routers share' },
		);
		return null;
	}
	const interfaceStatement = settings.last("interface");
	const networkInterface = interfaceStatement?.words[0] ?? null;
	if (interfaceStatement !== null) {
		if (networkInterface === "lo") {
			context.error(
				interfaceStatement,
				"loopback",
				`${title}: VRRP cannot run on the loopback interface`,
				`the whole instance ${name}`,
			);
			return null;
		}
		context.checkInterface(networkInterface!, interfaceStatement, title);
	}

	// Addresses: the first one fixes the family.
	const listed = readAddressLines(context, settings.all("virtual_ipaddress"), {
		owner: title,
		isStatic: false,
		defaultInterface: null,
	});
	const source = settings.last("unicast_src_ip") ?? settings.last("mcast_src_ip");
	const sourceAddress = source === null ? null : readAddress(source.words[0]!)!;
	const family: AddressFamily = settings.has("native_ipv6")
		? "inet6"
		: (listed[0]?.family ?? sourceAddress?.family ?? "inet");
	const virtualAddresses: AddressConfig[] = [];
	for (const address of listed) {
		if (address.family === family) virtualAddresses.push(address);
		else
			context.error(
				placeOf(context, address.location, address.address.length),
				"family",
				`${title}: ${address.address} is not of the family of the first address`,
				"the address",
				{ suggestion: "write it under virtual_ipaddress_excluded" },
			);
	}
	const excludedAddresses = readAddressLines(context, settings.all("virtual_ipaddress_excluded"), {
		owner: title,
		isStatic: false,
		defaultInterface: null,
	});
	if (virtualAddresses.length > 255) {
		context.warn(
			statement,
			"too-many-addresses",
			`${title}: an advert holds 255 addresses; the other ${virtualAddresses.length - 255} are not advertised`,
		);
		excludedAddresses.unshift(...virtualAddresses.splice(255));
	}
	if (virtualAddresses.length === 0 && !settings.has("no_virtual_ipaddress"))
		context.warn(statement, "no-address", `${title} has no virtual address`);
	if (networkInterface === null && settings.last("unicast_src_ip") === null) {
		context.error(
			statement,
			"incomplete",
			`${title}: interface is missing`,
			`the whole instance ${name}, and its addresses`,
			{ suggestion: 'write "interface NAME", or unicast_src_ip for an instance without one' },
		);
		return null;
	}

	// Version, strictness, priority, state.
	const versionStatement = settings.last("version");
	let version: 2 | 3 =
		versionStatement !== null
			? versionStatement.words[0] === "3"
				? 3
				: 2
			: family === "inet6"
				? 3
				: globals.version;
	const strict = settings.boolean("strict_mode") ?? globals.strict;
	if (version === 2 && family === "inet6" && strict) {
		context.warn(
			versionStatement ?? statement,
			"strict",
			`${title}: strict mode has no VRRPv2 over IPv6; version 3 is used`,
		);
		version = 3;
	}
	const stateStatement = settings.last("state");
	const wish = stateStatement?.words[0] ?? null;
	const priority = settings.number("priority") ?? (wish === "MASTER" ? 255 : 100);
	if (wish === "MASTER" && settings.last("priority") === null)
		context.hint(
			stateStatement!,
			"owner",
			`${title}: state MASTER without priority means priority 255, the owner of the addresses`,
		);
	let initialState: "MASTER" | "BACKUP" =
		(wish as "MASTER" | "BACKUP" | null) ?? (priority === 255 ? "MASTER" : "BACKUP");
	if (strict && (initialState === "MASTER") !== (priority === 255)) {
		context.warn(
			stateStatement ?? statement,
			"strict",
			`${title}: in strict mode only priority 255 starts as MASTER; state ${priority === 255 ? "MASTER" : "BACKUP"} is used`,
		);
		initialState = priority === 255 ? "MASTER" : "BACKUP";
	}

	// Authentication: before preemption, which asks how it begins.
	const authentication = readAuthentication(context, settings, title, version, family, strict);
	if (authentication?.type === "AH" && initialState === "MASTER") {
		context.warn(stateStatement ?? statement, "auth-ah", `${title}: with AH the initial state is BACKUP`);
		initialState = "BACKUP";
	}

	// Preemption.
	const nopreempt = settings.last("nopreempt");
	let preempt = nopreempt === null;
	// keepalived runs such a file without the word; so do we, at a reload as at boot, and say so.
	const without = (place: Statement, message: string, lost: string, suggestion?: string) =>
		context.warn(place, place.keyword.name.replace("_", "-"), `${title}: ${message}`, {
			lost,
			...(suggestion === undefined ? {} : { suggestion }),
		});
	if (nopreempt !== null && priority === 255) {
		without(nopreempt, "nopreempt does not go with priority 255", "nopreempt");
		preempt = true;
	} else if (nopreempt !== null && initialState === "MASTER") {
		without(
			nopreempt,
			"nopreempt needs state BACKUP",
			"nopreempt: it will take over from a lower master",
			'write "state BACKUP"; the election still makes it master when nobody else is',
		);
		preempt = true;
	}
	const delayStatement = settings.last("preempt_delay");
	let preemptDelayMs = (delayStatement?.number ?? 0) / 1000;
	if (delayStatement !== null && preemptDelayMs > 0) {
		const against = strict
			? "strict mode"
			: priority === 255
				? "priority 255"
				: initialState === "MASTER"
					? "state MASTER"
					: !preempt
						? "nopreempt"
						: null;
		if (against !== null) {
			without(delayStatement, `preempt_delay does not go with ${against}`, "preempt_delay");
			preemptDelayMs = 0;
		}
	}

	// Unicast or multicast.
	const peerBlocks = settings.all("unicast_peer");
	const unicastPeers = readPeers(context, peerBlocks, title, family);
	if (sourceAddress !== null && sourceAddress.family !== family)
		context.error(
			source!,
			"family",
			`${title}: source ${sourceAddress.address} is not of the family of the virtual addresses`,
			source!.keyword.name,
		);
	const destination = settings.last("mcast_dst_ip");
	const destinationAddress = destination === null ? null : readAddress(destination.words[0]!)!;
	if (destinationAddress !== null && destinationAddress.family !== family)
		context.error(
			destination!,
			"family",
			`${title}: mcast_dst_ip is not of the family of the virtual addresses`,
			"mcast_dst_ip",
		);
	if (peerBlocks.length > 0 && unicastPeers.length === 0)
		context.warn(peerBlocks[0]!, "no-peer", `${title}: unicast_peer has no peer, so adverts are multicast`);

	if (unicastPeers.length === 0 && peerBlocks.length === 0)
		for (const name of ["unicast_src_ip", "check_unicast_src", "old_unicast_checksum", "unicast_ttl"]) {
			const statement = settings.last(name);
			if (statement !== null)
				context.warn(statement, "no-peer", `${title}: ${name} without unicast_peer: adverts are multicast`);
		}
	const vmacOnly =
		settings.has("use_vmac") || settings.has("use_ipvlan") ? null : settings.last("vmac_xmit_base");
	if (vmacOnly !== null)
		context.error(vmacOnly, "conflict", `${title}: vmac_xmit_base goes with use_vmac only`, "vmac_xmit_base");
	const vrf = networkInterface === null ? null : settings.last("vrf");
	if (vrf !== null) context.error(vrf, "conflict", `${title}: vrf and interface exclude each other`, "vrf");

	const garp = readGarp(settings, context, networkInterface, gaps, strict);
	const references = buildReferences(context, settings, trackers, {
		title,
		index,
		interface: networkInterface,
	});
	const vmac = readVmac(context, settings, title, family, networkInterface);
	const noAdvert = settings.last("lower_prio_no_advert");
	if (strict && noAdvert?.number === 0)
		context.warn(
			noAdvert,
			"conflict",
			`${title}: in strict mode lower adverts are not answered; lower_prio_no_advert is on`,
		);
	const down = settings.number("down_timer_adverts") ?? globals.downTimerAdverts;
	return {
		name,
		family,
		version,
		interface: networkInterface,
		virtualRouterId: vridStatement.number,
		initialState,
		priority,
		advertIntervalMicros: readInterval(context, settings, title, version),
		downTimerAdverts: strict ? 3 : down,
		preempt,
		preemptDelayMs,
		accept: settings.has("no_accept") ? false : settings.has("accept") ? true : !strict || priority === 255,
		strict,
		// An ipvlan interface has an address of its own, which adverts come from.
		sourceAddress:
			sourceAddress?.family === family
				? sourceAddress.address
				: (readPrefix(vmac?.ipvlan?.address ?? "")?.address ?? null),
		trackSourceAddress: settings.has("track_src_ip"),
		multicastDestination:
			destinationAddress?.family === family
				? destinationAddress.address
				: family === "inet"
					? globals.multicast4
					: globals.multicast6,
		unicastPeers,
		unicastTtl: unicastPeers.length === 0 ? null : settings.number("unicast_ttl"),
		unicastFaultNoPeer: settings.has("unicast_fault_no_peer"),
		checkUnicastSource:
			globals.checkUnicastSource ||
			settings.has("check_unicast_src") ||
			unicastPeers.some((peer) => peer.minTtl !== null || peer.maxTtl !== null),
		oldUnicastChecksum: readOldChecksum(context, settings, title),
		checksumWithoutPseudoHeader: settings.boolean("v3_checksum_as_v2") ?? globals.checksumWithoutPseudoHeader,
		skipCheckAddresses: settings.boolean("skip_check_adv_addr") ?? globals.skipCheckAddresses,
		authentication,
		authHmac: readHmac(context, settings, title, settings.number("advert_int") ?? 1_000_000),
		virtualAddresses,
		excludedAddresses,
		virtualRoutes: readRoutes(context, settings.all("virtual_routes"), title),
		virtualRules: readRules(context, settings.all("virtual_rules"), title),
		promoteSecondaries: settings.has("promote_secondaries"),
		vmac,
		vmacForAddresses: settings.has("use_vmac_addr"),
		vrf: networkInterface === null ? settings.word("vrf") : null,
		receiveBufferBytes: settings.number("kernel_rx_buf_size") ?? 0,
		trackPrimary: !settings.has("dont_track_primary"),
		...references,
		garp,
		lowerPriorityNoAdvert:
			strict || (settings.boolean("lower_prio_no_advert") ?? globals.lowerPriorityNoAdvert),
		higherPrioritySendAdvert: settings.boolean("higher_prio_send_advert") ?? globals.higherPrioritySendAdvert,
		ownerIgnoreAdverts:
			settings.boolean("owner_ignore_adverts") ??
			(globals.ownerIgnoreAdverts || (strict && priority === 255)),
		notify: readNotify(context, settings),
		notifyPriorityChanges: settings.boolean("notify_priority_changes") ?? globals.notifyPriorityChanges,
		smtpAlert: settings.boolean("smtp_alert") ?? globals.smtpAlertVrrp ?? globals.smtpAlert ?? false,
		location: context.locate(statement),
	};
}

export function placeOf(
	context: BuildContext,
	location: { readonly file: string; readonly line: number; readonly column: number },
	length: number,
) {
	const file = context.sources.findIndex((source) => source.name === location.file);
	return { file, line: location.line, column: location.column, length };
}

function readInterval(context: BuildContext, settings: Settings, title: string, version: 2 | 3): number {
	const statement = settings.last("advert_int");
	const micros = statement?.number ?? 1_000_000;
	let used: number;
	if (version === 2) used = Math.max(1, Math.round(micros / 1_000_000)) * 1_000_000;
	else used = Math.min(V3_MAX_INTERVAL_MICROS, Math.max(1, Math.round(micros / 10_000)) * 10_000);
	if (statement !== null && used !== micros)
		context.warn(
			statement,
			"advert-interval",
			version === 2
				? `${title}: VRRPv2 counts whole seconds: advert_int ${secondsText(micros)} becomes ${secondsText(used)}`
				: `${title}: VRRPv3 counts hundredths of a second up to 40.95: advert_int ${secondsText(micros)} becomes ${secondsText(used)}`,
			version === 2 && micros % 1_000_000 !== 0
				? { suggestion: 'write "version 3" for shorter intervals' }
				: {},
		);
	return used;
}

function readAuthentication(
	context: BuildContext,
	settings: Settings,
	title: string,
	version: 2 | 3,
	family: AddressFamily,
	strict: boolean,
): VrrpInstanceConfig["authentication"] {
	const block = settings.last("authentication");
	if (block === null) return null;
	const inner = new Settings(settings.all("authentication").flatMap((statement) => statement.body!));
	const typeStatement = inner.last("auth_type");
	const passStatement = inner.last("auth_pass");
	if (typeStatement === null) {
		if (passStatement !== null)
			context.error(passStatement, "incomplete", `${title}: auth_pass without auth_type`, "authentication");
		return null;
	}
	const type = typeStatement.words[0] as "PASS" | "AH";
	const [against, orElse] = strict
		? ["strict mode", ", or strict mode"]
		: version === 3
			? ["VRRPv3", ', or write "version 2"']
			: type === "AH" && family === "inet6"
				? ["IPv6", ""]
				: [null, ""];
	if (against !== null) {
		context.error(
			block,
			"authentication",
			`${title}: ${against} has no ${type} authentication`,
			"authentication: adverts are neither signed nor checked",
			{ suggestion: `leave out the block${orElse}` },
		);
		return null;
	}
	if (passStatement === null) {
		context.error(block, "incomplete", `${title}: auth_type ${type} needs auth_pass`, "authentication");
		return null;
	}
	const password = passStatement.words[0]!;
	const bytes = new TextEncoder().encode(password);
	if (bytes.length > AUTH_PASS_BYTES)
		context.warn(
			passStatement,
			"auth-pass",
			`${title}: auth_pass has ${bytes.length} bytes; only the first ${AUTH_PASS_BYTES} are used`,
		);
	return {
		type,
		password:
			bytes.length > AUTH_PASS_BYTES
				? new TextDecoder().decode(bytes.subarray(0, AUTH_PASS_BYTES))
				: password,
	};
}

function readHmac(
	context: BuildContext,
	settings: Settings,
	title: string,
	intervalMicros: number,
): AuthHmac | null {
	const block = settings.last("auth_hmac");
	if (block === null) return null;
	const inner = new Settings(block.body!);
	const keys: { id: number; keyHex: string }[] = [];
	for (const statement of inner.all("key")) {
		const id = parseWhole(statement.words[0]!);
		const text = statement.words[1]!;
		if (!(id >= 1 && id <= 255)) {
			context.error(
				statement,
				"out-of-range",
				`${title}: key number ${statement.words[0]} is out of range: 1 to 255`,
				"the key",
			);
			continue;
		}
		const keyHex = text.startsWith("hex:")
			? /^([0-9a-fA-F]{2})+$/.test(text.slice(4))
				? text.slice(4).toLowerCase()
				: null
			: text.startsWith("file:")
				? text
				: Buffer.from(text).toString("hex");
		if (keyHex === null || (!text.startsWith("file:") && (keyHex.length < 64 || keyHex.length > 128))) {
			context.error(statement, "bad-argument", `${title}: key ${id} must have 32 to 64 bytes`, "the key");
			continue;
		}
		keys.push({ id, keyHex });
	}
	const active = inner.last("active_key");
	if (active === null || !keys.some((key) => key.id === active.number)) {
		context.error(
			active ?? block,
			"incomplete",
			`${title}: auth_hmac needs an active_key that exists`,
			"auth_hmac: adverts are not signed",
		);
		return null;
	}
	return {
		keys,
		activeKey: active.number,
		timeWindowMs: (inner.number("time_window") ?? Math.max(5_000_000, 3 * intervalMicros)) / 1000,
		antiReplay: inner.word("anti_replay") === "monotonic" ? "monotonic" : "time",
		mode: (inner.word("mode") as AuthHmac["mode"] | null) ?? "enforce",
	};
}

function readPeers(
	context: BuildContext,
	blocks: readonly Statement[],
	title: string,
	family: AddressFamily,
): UnicastPeer[] {
	const peers: UnicastPeer[] = [];
	for (const line of blocks.flatMap((block) => block.lines!)) {
		const text = line.words[0]!;
		const address = readAddress(text);
		if (address === null) {
			context.error(line, "bad-address", `${title}: peer "${text}" is no IP address`, "the peer");
			continue;
		}
		if (address.family !== family) {
			context.error(
				line,
				"family",
				`${title}: peer ${text} is not of the family of the virtual addresses`,
				"the peer",
			);
			continue;
		}
		if (peers.some((peer) => peer.address === address.address)) {
			context.warn(line, "repeated", `${title}: peer ${text} stands twice`);
			continue;
		}
		peers.push({ address: address.address, ...readTtls(context, line, title) });
	}
	return peers;
}

function readTtls(
	context: BuildContext,
	line: DataLine,
	title: string,
): { minTtl: number | null; maxTtl: number | null } {
	const ttl: { min_ttl: number | null; max_ttl: number | null } = { min_ttl: null, max_ttl: null };
	for (let index = 1; index < line.words.length; index += 2) {
		const name = line.words[index]!;
		const value = parseWhole(line.words[index + 1] ?? "");
		if (name !== "min_ttl" && name !== "max_ttl")
			context.error(line, "bad-option", `${title}: "${name}" is no option of a peer`, `"${name}"`);
		else if (!(value >= 0 && value <= 255))
			context.error(line, "out-of-range", `${title}: ${name} needs a number from 0 to 255`, name);
		else ttl[name] = value;
	}
	return { minTtl: ttl.min_ttl, maxTtl: ttl.max_ttl };
}

function readOldChecksum(
	context: BuildContext,
	settings: Settings,
	title: string,
): "auto" | "always" | "never" {
	const statement = settings.last("old_unicast_checksum");
	if (statement === null) return "auto";
	if (statement.words[0] === undefined) return "always";
	if (statement.words[0] === "never") return "never";
	context.error(
		statement,
		"bad-argument",
		`${title}: old_unicast_checksum takes only "never"`,
		"old_unicast_checksum",
	);
	return "auto";
}

function readGarp(
	settings: Settings,
	context: BuildContext,
	networkInterface: string | null,
	gaps: GarpGaps,
	strict: boolean,
): GarpSchedule {
	const { globals } = context;
	const seconds = (name: string, otherwise: number) => {
		const micros = settings.number(name);
		return micros === null ? otherwise : micros / 1_000_000;
	};
	const delay = seconds("garp_master_delay", globals.garpDelaySeconds);
	const repeat = settings.number("garp_master_repeat") ?? globals.garpRepeat;
	const elsewhere = readElsewhere(settings.last("garp_extra_if") ?? settings.last("vmac_garp_intvl"));
	const gap = gaps.of(networkInterface);
	return {
		delayMs: delay * 1000,
		repeat,
		refreshMs: seconds("garp_master_refresh", globals.garpRefreshSeconds) * 1000,
		refreshRepeat: settings.number("garp_master_refresh_repeat") ?? globals.garpRefreshRepeat,
		elsewhereMs: (elsewhere ?? globals.garpElsewhere).seconds * 1000,
		elsewhereAll: (elsewhere ?? globals.garpElsewhere).all,
		lowerPriorityDelayMs: strict
			? 0
			: seconds("garp_lower_prio_delay", globals.garpLowerDelaySeconds ?? globals.garpDelaySeconds) * 1000,
		lowerPriorityRepeat: strict
			? 0
			: (settings.number("garp_lower_prio_repeat") ?? globals.garpLowerRepeat ?? globals.garpRepeat),
		garpIntervalMicros: gap.garpMicros,
		gnaIntervalMicros: gap.gnaMicros,
	};
}

/** `[all] SECONDS`; null when it is not said. */
export function readElsewhere(
	statement: Statement | null | undefined,
): { readonly all: boolean; readonly seconds: number } | null {
	if (statement === null || statement === undefined) return null;
	return {
		all: statement.words[0] === "all",
		seconds: Math.max(0, parseWhole(statement.words.at(-1) ?? "") || 0),
	};
}

/** Canonical text, with the prefix length if it has a good one. */
function ownAddress({ address, prefixLength }: { address: string; prefixLength: number | null }): string {
	return prefixLength === null || Number.isNaN(prefixLength) ? address : `${address}/${prefixLength}`;
}

function readVmac(
	context: BuildContext,
	settings: Settings,
	title: string,
	family: AddressFamily,
	networkInterface: string | null,
): VmacConfig | null {
	const vmac = settings.last("use_vmac");
	const ipvlan = settings.last("use_ipvlan");
	const statement = vmac ?? ipvlan;
	if (statement === null) return null;
	if (vmac !== null && ipvlan !== null)
		context.error(ipvlan, "conflict", `${title}: use_vmac and use_ipvlan exclude each other`, "use_ipvlan");
	let name: string | null = null;
	let macAddress: string | null = null;
	let mode: "bridge" | "private" | "vepa" = "bridge";
	let address: string | null = null;
	const { words } = statement;
	for (let index = 0; index < words.length; index++) {
		const word = words[index]!;
		if (word === "netlink_notify_msg") continue;
		if (word === "group" || word === "name") {
			const value = words[++index];
			if (value === undefined)
				context.error(statement, "missing-argument", `${title}: ${word} needs a value`, word);
			else if (word === "name") name = value;
		} else if (vmac !== null && /^([0-9a-fA-F]{1,2}:){4,5}[0-9a-fA-F]{1,2}$/.test(word))
			macAddress = word.toLowerCase();
		else if (vmac === null && (word === "bridge" || word === "private" || word === "vepa")) mode = word;
		else if (vmac === null && readPrefix(word)?.family === family) address = ownAddress(readPrefix(word)!);
		else if (name === null && word.length <= 15) name = word;
		else
			context.error(
				statement,
				"bad-option",
				`${title}: "${word}" is no option of ${statement.keyword.name}`,
				`"${word}"`,
			);
	}
	if (vmac === null && family === "inet" && address === null)
		context.warn(statement, "incomplete", `${title}: use_ipvlan over IPv4 needs an address`);
	return {
		name,
		parentInterface: networkInterface,
		macAddress,
		transmitOnBase:
			settings.has("vmac_xmit_base") || settings.all("unicast_peer").some((block) => block.lines!.length > 0),
		ipvlan: vmac === null ? { mode, address } : null,
	};
}

export function readNotify(context: BuildContext, settings: Settings): NotifyScripts {
	const script = (name: string) => {
		const statement = settings.last(name);
		return statement === null ? null : context.notifyScript(statement);
	};
	return {
		master: script("notify_master"),
		backup: script("notify_backup"),
		fault: script("notify_fault"),
		stop: script("notify_stop"),
		deleted: script("notify_deleted"),
		saysDeleted: settings.last("notify_deleted") !== null,
		generic: script("notify"),
		masterRxLowerPriority: script("notify_master_rx_lower_pri"),
	};
}
