/** Carries announcements out: scripts, FIFOs, mails, log and subscribers. Nothing ever waits for it. */
import type { GlobalConfig, NotifyFifo } from "../config/model.ts";
import { farewell } from "../notify/farewell.ts";
import { FifoWriter } from "../notify/fifo.ts";
import { Mailer } from "../notify/mail.ts";
import { ScriptRunner } from "../notify/script-runner.ts";
import { setScriptUmask } from "../notify/start-script.ts";
import type { DirectorEvent } from "../status/director.ts";
import type { Log } from "../status/log.ts";
import { announce, type CheckNotice, checkMail } from "./announce.ts";
import type { Notice } from "./pool.ts";

/** How long a stop waits for scripts that it has started, and for mails on their way. */
const STOP_WAIT_MS = 1_000;

export class Announcer {
	readonly #log: Log;
	readonly #publish: (event: DirectorEvent) => void;
	readonly #scripts = new ScriptRunner();
	readonly #mailer: Mailer;
	#global: GlobalConfig;
	#fifos: FifoWriter[] = [];
	readonly #pending = new Set<Promise<unknown>>();

	constructor(global: GlobalConfig, log: Log, publish: (event: DirectorEvent) => void) {
		this.#log = log;
		this.#publish = publish;
		this.#global = global;
		setScriptUmask(global.umask);
		this.#mailer = new Mailer(global.mail, (text) => log.warn(text));
		this.#openFifos();
	}

	/** Takes new settings over; a FIFO that did not change stays open. */
	configure(global: GlobalConfig): void {
		this.#global = global;
		setScriptUmask(global.umask);
		this.#mailer.configure(global.mail);
		this.#openFifos();
	}

	tell(notices: readonly Notice[]): void {
		for (const notice of notices) {
			const announcement = announce(notice, this.#global, Date.now());
			if (announcement === null) continue;
			this.#log.info({ up: notice.up }, announcement.logLine);
			this.#publish(announcement.event);
			for (const fifo of this.#fifos) fifo.write(announcement.fifoLine);
			if (announcement.mail !== null) this.#mailer.send(announcement.mail);
			if (announcement.script === null) continue;
			const { script } = announcement;
			// keepalived never ends a notify script.
			const run = this.#scripts.run(script, { timeoutMs: Number.POSITIVE_INFINITY }).then((outcome) => {
				this.#pending.delete(run);
				if (outcome.kind === "exit" && outcome.status === 0) return;
				this.#log.warn({ outcome, at: script.location }, `notify script ${script.command[0]} failed`);
			});
			this.#pending.add(run);
		}
	}

	/** Subscribers alone. */
	publish(notice: Notice): void {
		const announcement = announce(notice, this.#global, Date.now());
		if (announcement !== null) this.#publish(announcement.event);
	}

	tellOfChecks(notices: readonly CheckNotice[]): void {
		for (const notice of notices) {
			const mail = checkMail(notice, this.#global.mail.perRealServerOnly);
			if (mail !== null) this.#mailer.send(mail);
		}
	}

	/** Waits a moment for scripts to end and for mails to go, then lets go of everything. Scripts that still run go on. */
	async close(): Promise<void> {
		const left = await farewell(this.#pending, this.#mailer, STOP_WAIT_MS);
		if (left !== null) this.#log.warn(left);
		for (const fifo of this.#fifos) fifo.close();
		this.#fifos = [];
	}

	#openFifos(): void {
		const wanted = [this.#global.notifyFifo, this.#global.lvsNotifyFifo].filter((fifo) => fifo !== null);
		const kept = this.#fifos.filter((fifo) => wanted.some((other) => sameFifo(other, fifo.config)));
		for (const fifo of this.#fifos) if (!kept.includes(fifo)) fifo.close();
		for (const fifo of wanted)
			if (!kept.some(({ config }) => sameFifo(config, fifo)))
				kept.push(new FifoWriter(fifo, (text) => this.#log.warn(text)));
		this.#fifos = kept;
	}
}

function sameFifo(a: NotifyFifo, b: NotifyFifo): boolean {
	const words = ({ path, user, group, script }: NotifyFifo) =>
		JSON.stringify([path, user, group, script?.command, script?.user, script?.group]);
	return words(a) === words(b);
}
