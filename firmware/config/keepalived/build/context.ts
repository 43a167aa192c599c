/** What every builder needs: findings, the machine's names, and the global settings. */
import type { AddressFamily, CheckTiming, Location, RealServerRules, Script } from "../../model.ts";
import { type Finding, type Findings, MISSING_INTERFACE } from "../diagnostics.ts";
import { commandWords } from "../lexer.ts";
import { type Place, type Placed, placeOfRecord, type Source } from "../source.ts";
import type { Statement } from "../statement.ts";

/** The machine as far as a configuration refers to it. Asked, never touched. */
export interface Machine {
	readonly hostName: string;
	/** Network interfaces that exist; null: nobody knows. */
	readonly interfaces: ReadonlySet<string> | null;
	hasNetworkNamespace(name: string): boolean;
	/** Whether what was in force before names this interface, so that the file may, though it is not there. */
	mayMiss(interfaceName: string): boolean;
	hasUser(name: string): boolean;
	hasGroup(name: string): boolean;
	/** Whether this user's programs run with root's number or with that of root's group; `group` null: the user's own. */
	hasRootsRights(user: string, group: string | null): boolean;
	/** What is found at a program's path, or on the PATH without a slash; `insecure` names what others can write. */
	program(path: string): {
		readonly kind: "found" | "missing" | "not-executable";
		readonly insecure: string | null;
	};
	/** Seconds since boot. */
	uptimeSeconds(): number;
}

/** Settings of global_defs that builders consult; set once, before everything else. */
export interface GlobalNotes {
	dynamicInterfaces: boolean;
	scriptSecurity: boolean;
	/** Who runs a script that names nobody; null is root. */
	scriptUser: string | null;
	scriptGroup: string | null;
	/** Why nobody does: scripts without a user of their own are dropped. */
	noScriptUser: string | null;
	smtpAlert: boolean | null;
	smtpAlertVrrp: boolean | null;
	smtpAlertChecker: boolean | null;
	version: 2 | 3;
	strict: boolean;
	checkUnicastSource: boolean;
	checksumWithoutPseudoHeader: boolean;
	skipCheckAddresses: boolean;
	downTimerAdverts: number;
	garpDelaySeconds: number;
	garpRepeat: number;
	garpRefreshSeconds: number;
	garpRefreshRepeat: number;
	garpElsewhere: { readonly all: boolean; readonly seconds: number };
	garpLowerDelaySeconds: number | null;
	garpLowerRepeat: number | null;
	minGarp: boolean;
	lowerPriorityNoAdvert: boolean;
	higherPrioritySendAdvert: boolean;
	ownerIgnoreAdverts: boolean;
	notifyPriorityChanges: boolean;
	defaultInterface: string;
	pathCheck: boolean;
	logAllFailures: boolean;
	rsInitNotifies: boolean;
	multicast4: string;
	multicast6: string;
}

export class BuildContext {
	readonly findings: Findings;
	readonly machine: Machine;
	readonly sources: readonly Source[];
	readonly globals: GlobalNotes;
	/** A script would run as root although script security is off: reported once, as keepalived does. */
	insecureScript: Place | null = null;
	readonly namedInterfaces = new Set<string>();
	/** keepalived stops at a missing interface, before it looks at scripts. */
	interfaceMissing = false;

	/** Of rules that have none, downwards through the whole file, so that a later one goes first, as in keepalived. */
	readonly nextRulePreference: Record<AddressFamily, number> = { inet: 16_384, inet6: 16_384 };

	/** Lines that the statements at hand stand below the places that they name: see Statement. */
	linesDown = 0;

	#lastTiming: CheckTiming | null = null;
	#lastRules: RealServerRules | null = null;

	constructor(findings: Findings, machine: Machine, sources: readonly Source[], globals: GlobalNotes) {
		this.findings = findings;
		this.machine = machine;
		this.sources = sources;
		this.globals = globals;
	}

	/** One record for checks that follow one another with the same timing: nearly all of them. */
	sharedTiming(timing: CheckTiming): CheckTiming {
		const last = this.#lastTiming;
		if (
			last !== null &&
			last.delayLoopMs === timing.delayLoopMs &&
			last.retry === timing.retry &&
			last.delayBeforeRetryMs === timing.delayBeforeRetryMs &&
			last.warmupMs === timing.warmupMs &&
			last.alpha === timing.alpha &&
			last.logAllFailures === timing.logAllFailures
		)
			return last;
		this.#lastTiming = timing;
		return timing;
	}

	/** The same for real servers' rules, those without scripts. */
	sharedRules(rules: RealServerRules): RealServerRules {
		const last = this.#lastRules;
		if (
			last !== null &&
			last.inhibitOnFailure === rules.inhibitOnFailure &&
			last.alpha === rules.alpha &&
			last.smtpAlert === rules.smtpAlert &&
			last.snmpName === rules.snmpName
		)
			return last;
		this.#lastRules = rules;
		return rules;
	}

	locate(spot: Place | Placed): Location {
		const { file, line, column } = this.#settle(spot);
		return { file: this.sources[file]!.name, line, column };
	}

	#settle(spot: Place | Placed): Place {
		const place = placeOfRecord(spot);
		return this.linesDown === 0 || !("at" in spot) ? place : { ...place, line: place.line + this.linesDown };
	}

	error(
		place: Place | Placed,
		code: string,
		message: string,
		lost?: string,
		more: Partial<Finding> = {},
	): void {
		this.findings.report(this.#settle(place), {
			severity: "error",
			code,
			message,
			...(lost === undefined ? {} : { lost }),
			...more,
		});
	}

	warn(place: Place | Placed, code: string, message: string, more: Partial<Finding> = {}): void {
		this.findings.report(this.#settle(place), { severity: "warning", code, message, exitStatus: 5, ...more });
	}

	hint(place: Place | Placed, code: string, message: string, more: Partial<Finding> = {}): void {
		this.findings.report(this.#settle(place), { severity: "hint", code, message, ...more });
	}

	/**
	 * Says so when an interface does not exist. It stays in the model: it may still appear, and what
	 * uses it waits until then. One that what is in force names has died: no reason to refuse the rest of the file.
	 */
	checkInterface(name: string, place: Place | Placed, user: string): void {
		this.namedInterfaces.add(name);
		const { interfaces } = this.machine;
		if (interfaces === null || interfaces.has(name) || this.globals.dynamicInterfaces) return;
		this.interfaceMissing = true;
		const mayMiss = this.machine.mayMiss(name);
		this.findings.reportOnce(`interface ${name} ${user}`, this.#settle(place), {
			severity: mayMiss ? "warning" : "error",
			code: MISSING_INTERFACE,
			message: `${user}: there is no interface ${name} on this machine`,
			lost: `${user} waits until ${name} appears`,
			suggestion: mayMiss
				? `not refused: what was in force before names ${name}, too`
				: `${interfacesHere(interfaces)}; "dynamic_interfaces" in global_defs is for one that comes later`,
			exitStatus: 5,
		});
	}

	/** A command of notify style: COMMAND [USER [GROUP]]; null (and a finding) when it cannot run. */
	notifyScript(statement: Statement): Script | null {
		const [command, user, group] = statement.words;
		if (command === undefined) return null;
		return this.script(statement, [command], user ?? null, group ?? null);
	}

	/**
	 * A script as execve wants it. One word that holds blanks is split again.
	 * null (and a finding) when it cannot run at all.
	 */
	script(
		statement: Statement,
		words: readonly string[],
		user: string | null,
		group: string | null,
	): Script | null {
		const command = words.length === 1 ? splitCommand(words[0]!) : words;
		const title = statement.keyword.name;
		const program = command[0];
		if (program === undefined || program === "") {
			this.error(statement, "empty-script", `${title}: the command is empty`, title);
			return null;
		}
		if (user !== null && !this.machine.hasUser(user)) {
			this.error(
				statement,
				"no-user",
				`${title}: there is no user ${user}`,
				`${title}: the script never runs`,
			);
			return null;
		}
		if (group !== null && !this.machine.hasGroup(group)) {
			this.error(
				statement,
				"no-group",
				`${title}: there is no group ${group}`,
				`${title}: the script never runs`,
			);
			return null;
		}
		if (user === null && this.globals.noScriptUser !== null) {
			this.error(
				statement,
				"no-user",
				`${title}: nobody to run it: ${this.globals.noScriptUser}`,
				`${title}: the script never runs`,
				{ suggestion: 'write "script_user NAME" into global_defs, with a user that exists' },
			);
			return null;
		}
		const found = this.machine.program(program);
		if (found.kind !== "found") {
			const why = found.kind === "missing" ? "does not exist" : "is not executable";
			this.error(statement, "no-script", `${title}: ${program} ${why}`, `${title}: the script never runs`);
			return null;
		}
		const runsAs = user ?? this.globals.scriptUser ?? "root";
		const inGroup = user === null ? this.globals.scriptGroup : group;
		if (!this.globals.scriptSecurity) this.insecureScript ??= this.#settle(statement);
		else if (found.insecure !== null && this.machine.hasRootsRights(runsAs, inGroup)) {
			this.error(
				statement,
				"insecure-script",
				`${title}: ${found.insecure} can be written by others than root, and enable_script_security is set`,
				`${title}: the script never runs`,
			);
			return null;
		}
		return {
			command: [...command],
			user: user ?? this.globals.scriptUser,
			group: inGroup,
			location: this.locate(statement),
		};
	}
}

function splitCommand(text: string): string[] {
	return commandWords(text) ?? text.split(/\s+/).filter((word) => word !== "");
}

function interfacesHere(interfaces: ReadonlySet<string>): string {
	const names = [...interfaces].filter((name) => name !== "lo").sort();
	return names.length === 0
		? "this machine has no interface but lo"
		: `interfaces here: ${names.slice(0, 8).join(", ")}${names.length > 8 ? ", …" : ""}`;
}
