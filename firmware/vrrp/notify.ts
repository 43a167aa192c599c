/** Who is told of transitions: scripts, FIFOs, mail. In keepalived's words and order. */
import type {
	DroverConfig,
	NotifyFifo,
	NotifyScripts,
	Script,
	SyncGroupConfig,
	VrrpInstanceConfig,
} from "../config/model.ts";
import { farewell } from "../notify/farewell.ts";
import { FifoWriter } from "../notify/fifo.ts";
import { Mailer } from "../notify/mail.ts";
import { LONG_RUNNING_LIMIT, ScriptRunner } from "../notify/script-runner.ts";
import type { LogLine } from "./address-keeper.ts";

export type NotifyState = "MASTER" | "BACKUP" | "FAULT" | "STOP" | "DELETED" | "INIT";

const SCRIPTS_AT_ONCE = 64;
/** keepalived waits this long for notify_stop. */
export const STOP_SCRIPT_LIMIT_MS = 1_000;

export class Notifier {
	readonly #log: LogLine;
	readonly #runner = new ScriptRunner({ limit: SCRIPTS_AT_ONCE });
	readonly #mailer: Mailer;
	#config: DroverConfig;
	#fifos: FifoWriter[] = [];
	readonly #pending = new Set<Promise<unknown>>();
	/** By what the subject calls it, since the last reload. */
	readonly #lastMailed = new Map<string, NotifyState>();

	constructor(config: DroverConfig, log: LogLine) {
		this.#config = config;
		this.#log = log;
		this.#mailer = new Mailer(config.global.mail, (text) => log("warn", text));
		this.#openFifos();
	}

	configure(config: DroverConfig): void {
		const before = this.#config;
		this.#config = config;
		this.#mailer.configure(config.global.mail);
		this.#lastMailed.clear();
		const fifosOf = ({ global }: DroverConfig) => JSON.stringify([global.notifyFifo, global.vrrpNotifyFifo]);
		if (fifosOf(before) === fifosOf(config)) return;
		for (const fifo of this.#fifos) fifo.close();
		this.#openFifos();
	}

	instance(config: VrrpInstanceConfig, state: NotifyState, priority: number): void {
		if (state === "INIT") return;
		this.#tell(config.notify, "INSTANCE", config.name, state, priority);
		if (config.smtpAlert) this.#mail("Instance", config.name, state);
	}

	group(config: SyncGroupConfig, state: NotifyState): void {
		if (state === "INIT") return;
		this.#tell(config.notify, "GROUP", config.name, state, 0);
		if (config.smtpAlert) this.#mail("Group", config.name, state);
	}

	/** A master heard a lower priority. */
	lowerPriorityHeard(config: VrrpInstanceConfig, priority: number): void {
		this.#run(config.notify.masterRxLowerPriority, []);
		this.#line(`INSTANCE "${config.name}" MASTER_RX_LOWER_PRI ${priority}\n`);
	}

	priorityChanged(config: VrrpInstanceConfig, state: "MASTER" | "BACKUP", priority: number): void {
		if (config.notifyPriorityChanges) this.#line(`INSTANCE "${config.name}" ${state}_PRIORITY ${priority}\n`);
	}

	/** `fifo_write_vrrp_states_on_reload`. */
	repeatState(config: VrrpInstanceConfig, state: NotifyState, priority: number): void {
		this.#line(`INSTANCE "${config.name}" ${state} ${priority}\n`);
	}

	/** Waits for scripts that still run and for mails on their way, at most so long. */
	async settle(limitMs: number): Promise<void> {
		const left = await farewell(this.#pending, this.#mailer, limitMs);
		if (left !== null) this.#log("warn", left);
	}

	close(): void {
		for (const fifo of this.#fifos) fifo.close();
		this.#fifos = [];
	}

	#openFifos(): void {
		const { notifyFifo, vrrpNotifyFifo } = this.#config.global;
		this.#fifos = [notifyFifo, vrrpNotifyFifo]
			.filter((fifo): fifo is NotifyFifo => fifo !== null)
			.map((fifo) => new FifoWriter(fifo, (text) => this.#log("warn", text)));
	}

	#tell(
		scripts: NotifyScripts,
		type: "INSTANCE" | "GROUP",
		name: string,
		state: NotifyState,
		priority: number,
	): void {
		this.#run(specific(scripts, state), []);
		this.#run(scripts.generic, [type, name, state, String(priority)]);
		this.#line(`${type} "${name}" ${state} ${priority}\n`);
	}

	#line(text: string): void {
		for (const fifo of this.#fifos) fifo.write(text);
	}

	#run(script: Script | null, append: readonly string[]): void {
		if (script === null) return;
		// As long as it likes, as with keepalived: a script may well be what keeps a service running.
		const run = this.#runner.run(script, { append, timeoutMs: Number.POSITIVE_INFINITY }).then((outcome) => {
			if (outcome.kind === "not-started")
				this.#log("error", `notify script ${script.command[0]}: ${outcome.detail}`);
			else if (outcome.kind === "timeout")
				this.#log(
					"warn",
					`notify script ${script.command[0]} was ended: it had run longest of more than ${LONG_RUNNING_LIMIT} that did not end`,
				);
		});
		this.#pending.add(run);
		run.finally(() => this.#pending.delete(run));
	}

	/** A state that the last mail told is not told again: with no_email_faults there may be a silent one between. */
	#mail(kind: "Instance" | "Group", name: string, state: Exclude<NotifyState, "INIT">): void {
		if (state === "FAULT" && this.#config.global.mail.suppressFault) return;
		const title = `VRRP ${kind} ${name}`;
		if (this.#lastMailed.get(title) === state) return;
		this.#lastMailed.set(title, state);
		const { event, body } = kind === "Group" ? groupMail(state) : instanceMail(state);
		this.#mailer.send({ subject: `${title} - ${event}`, body: `=> ${body} <=` });
	}
}

/** In keepalived's words, as is what follows. */
function instanceMail(state: NotifyState): { readonly event: string; readonly body: string } {
	switch (state) {
		case "STOP":
			return { event: "Stopping", body: "VRRP Instance stopping" };
		case "DELETED":
			return { event: "Deleted", body: "VRRP Deleted at reload" };
		default:
			return {
				event: `Entering ${state} state`,
				body: `VRRP Instance is ${state === "MASTER" ? "now" : "no longer"} owning VRRP VIPs`,
			};
	}
}

function groupMail(state: NotifyState): { readonly event: string; readonly body: string } {
	if (state === "STOP") return { event: "Stopping", body: "All VRRP group instances are now stopping" };
	return { event: `Entering ${state} state`, body: `All VRRP group instances are now in ${state} state` };
}

function specific(scripts: NotifyScripts, state: NotifyState): Script | null {
	switch (state) {
		case "MASTER":
			return scripts.master;
		case "BACKUP":
			return scripts.backup;
		case "FAULT":
			return scripts.fault;
		case "STOP":
			return scripts.stop;
		case "DELETED":
			return scripts.deleted;
		case "INIT":
			return null;
	}
}
