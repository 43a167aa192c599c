/**
 * `drover snmp`: the agent of this box. It asks the services for their status at most once a
 * second and answers from that, so that polling never costs them more, and it may crash
 * without anyone noticing.
 */

import { randomBytes } from "node:crypto";
import {
	closeSync,
	existsSync,
	fsyncSync,
	mkdirSync,
	openSync,
	readFileSync,
	renameSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { ApplianceSettings } from "../../appliance/settings/schema.ts";
import { runDirectory } from "../../bus/socket-path.ts";
import type { Facts } from "../box/facts.ts";
import { type Memory, newMemory, readBox } from "../box/read-facts.ts";
import { openLog } from "../log.ts";
import { runOptionalService, toldToEnd } from "../optional-service.ts";
import { type AgentUser, startAgent } from "./agent.ts";
import { Gathering } from "./notification/gathering.ts";
import { type BoxEvent, isOfTheGone, notificationsOf } from "./notification/notification.ts";
import { Notifier } from "./notification/notifier.ts";
import { ownAddress } from "./notification/own-address.ts";
import { forgetGone, nothingTold, type Told, toldSchema } from "./notification/told.ts";
import { watchBox } from "./notification/watcher.ts";
import type { SnmpSettings } from "./settings.ts";
import { boxView } from "./tree/box.ts";
import type { View } from "./view.ts";

/** One look at the box serves every question within this time. */
const VIEW_LIFETIME_MS = 1_000;
/** Events this close together are told from one look: a whole pool may change at once. */
const GATHER_MS = 50;
/** authenticationFailure at most this often: whoever tries passwords must not fill the receivers. */
const AUTHENTICATION_TRAP_INTERVAL_MS = 1_000;

const stateSchema = z.object({
	engineId: z.string().regex(/^[0-9a-f]{10,64}$/),
	engineBoots: z.number().int().nonnegative(),
	interfaceIndices: z.record(z.string(), z.number()),
	/** Unix milliseconds of the newest update that the receivers were told of. */
	toldUntilMs: z.number().default(0),
});
type State = z.infer<typeof stateSchema>;

/** RFC 3411 SnmpEngineID: enterprise 8072 with the high bit, format 128 (own), eight random octets. */
const newEngineId = () => `80001f8880${randomBytes(8).toString("hex")}`;

export async function main(words: readonly string[]): Promise<number> {
	return runOptionalService(
		{
			name: "snmp",
			about: "Answers SNMP v2c and v3 and notifies receivers, as appliance.toml says.",
			options: {
				state: {
					otherwise: "/data/snmp",
					about: "where engine ID, engine boots and interface numbers are kept",
				},
			},
			lacks: ({ snmp }) => (snmp.enabled ? null : "enabled = true"),
			async run(settings, { state }) {
				const service = new SnmpService(settings, state);
				service.start();
				await toldToEnd(service.log);
				service.stop();
				return 0;
			},
		},
		words,
	);
}

interface Look {
	readonly facts: Facts;
	readonly view: View;
}

class SnmpService {
	readonly log = openLog("snmp");
	readonly #settings: ApplianceSettings;
	readonly #stateDirectory: string;
	readonly #state: State;
	readonly #engineId: Uint8Array;
	readonly #memory: Memory;
	readonly #notifier: Notifier;
	#cached: { readonly look: Promise<Look>; readonly at: number } | null = null;
	readonly #told = readTold();
	#toldUntilMs: number;
	/** Events that wait for a look at the box, and whether one of those that were taken out does. */
	readonly #gathering = new Gathering();
	#isTelling = false;
	#lost = 0;
	/** One look after the other, so that what happened first is told first. */
	#telling: Promise<void> = Promise.resolve();
	#authenticationToldAt = Number.NEGATIVE_INFINITY;
	#stop: () => void = () => {};

	constructor(settings: ApplianceSettings, stateDirectory: string) {
		const { snmp, port } = settings;
		this.#settings = settings;
		this.#stateDirectory = stateDirectory;
		this.#state = loadState(stateDirectory);
		this.#engineId = Buffer.from(this.#state.engineId, "hex");
		this.#toldUntilMs = this.#state.toldUntilMs;
		this.#memory = newMemory(this.#state.interfaceIndices);
		this.#notifier = new Notifier({
			receivers: snmp.receivers,
			users: snmp.users.map(agentUser),
			engineId: this.#engineId,
			engineBoots: this.#state.engineBoots,
			engineSeconds: () => Math.floor(this.#upMs() / 1000),
			sourceFor: (receiver) => snmp.source ?? ownAddress(receiver, port),
			onTrouble: (receiver, words) => this.log.warn({ receiver }, `a notification: ${words}`),
			onReachedAgain: (receiver, lost) =>
				this.log.info({ receiver, lost }, "notifications arrive again; lost is how many never will"),
			onIdle: () => this.#keepTold(),
		});
	}

	start(): void {
		const { snmp } = this.#settings;
		const stopAgent = startAgent({
			address: snmp.listen,
			port: snmp.port,
			engineId: this.#engineId,
			engineBoots: this.#state.engineBoots,
			engineSeconds: () => Math.floor(this.#upMs() / 1000),
			communities: snmp.communities,
			users: snmp.users.map(agentUser),
			sources: snmp.sources,
			view: () => this.#view(),
			onRefused: (from, why) => this.#onRefused(from, why),
		});
		// Nobody listens: nothing needs to be watched.
		const stopWatching =
			snmp.receivers.length === 0
				? () => {}
				: watchBox({
						onEvent: (event) => this.#tell(event),
						told: this.#told,
						toldUntilMs: this.#state.toldUntilMs,
						onTold: (untilMs) => {
							this.#toldUntilMs = untilMs;
						},
					});
		this.#stop = () => {
			stopAgent();
			stopWatching();
			this.#notifier.close();
		};
		this.#tell({ kind: "start", warm: !isFirstStart() });
		this.log.info({ port: snmp.port, engineBoots: this.#state.engineBoots }, "answering");
	}

	stop(): void {
		this.#stop();
	}

	async #view(): Promise<View> {
		try {
			return (await this.#look(VIEW_LIFETIME_MS)).view;
		} catch (error) {
			this.log.error(`the box could not be looked at: ${inWords(error)}`);
			throw error;
		}
	}

	/** What the box is like, not longer ago than `lifetimeMs`. */
	#look(lifetimeMs: number): Promise<Look> {
		const now = performance.now();
		if (this.#cached === null || now - this.#cached.at > lifetimeMs)
			this.#cached = { at: now, look: this.#lookAnew() };
		return this.#cached.look;
	}

	async #lookAnew(): Promise<Look> {
		const upMs = this.#upMs();
		const box = await readBox(this.#memory);
		const { contact, location } = this.#settings.snmp;
		const facts: Facts = {
			...box,
			agent: {
				engineId: this.#engineId,
				engineBoots: this.#state.engineBoots,
				upMs,
				contact,
				location,
				notificationsLost: this.#notifier.lost + this.#lost,
			},
		};
		if (JSON.stringify(this.#memory.indices) !== JSON.stringify(this.#state.interfaceIndices)) {
			this.#state.interfaceIndices = { ...this.#memory.indices };
			saveState(this.#stateDirectory, this.#state);
		}
		return { facts, view: boxView(facts) };
	}

	#upMs(): number {
		return performance.now() - this.#memory.startedAt;
	}

	#onRefused(from: string, why: string): void {
		const now = performance.now();
		if (now - this.#authenticationToldAt < AUTHENTICATION_TRAP_INTERVAL_MS) return;
		this.#authenticationToldAt = now;
		this.log.warn({ from }, `a question was refused: ${why}`);
		if (this.#settings.snmp.authentication_traps) this.#tell({ kind: "authentication-failure" });
	}

	#tell(event: BoxEvent): void {
		if (this.#settings.snmp.receivers.length === 0) return;
		this.#gathering.add({ event, upMs: this.#upMs() });
		if (this.#gathering.count > 1) return;
		setTimeout(() => {
			this.#telling = this.#telling.then(() => this.#tellGathered());
		}, GATHER_MS);
	}

	async #tellGathered(): Promise<void> {
		const { events, dropped } = this.#gathering.take();
		this.#isTelling = true;
		if (dropped > 0)
			this.#lose(dropped, `more than ${events.length} events came at once; the oldest are dropped`);
		try {
			const before = (await this.#cached?.look.catch(() => null)) ?? null;
			const after = await this.#look(0);
			const { facts } = after;
			forgetGone(this.#told, facts.vrrp, facts.director);
			for (const { event, upMs } of events) {
				const seen = isOfTheGone(event) ? (before ?? after) : after;
				for (const notification of notificationsOf(event, seen.facts, seen.view))
					this.#notifier.send({ ...notification, upMs });
			}
		} catch (error) {
			this.#lose(events.length, `events cannot be told of: ${inWords(error)}`);
		}
		this.#isTelling = false;
		if (this.#notifier.isIdle) this.#keepTold();
	}

	#lose(lost: number, words: string): void {
		this.#lost += lost;
		this.log.error({ lost }, words);
	}

	/**
	 * Keeps what the receivers know once nothing is on its way to them any more: what the agent had not delivered
	 * when it ended is told again by the next one.
	 */
	#keepTold(): void {
		if (this.#isTelling || this.#gathering.count > 0) return;
		try {
			writeTold(this.#told);
			if (this.#toldUntilMs === this.#state.toldUntilMs) return;
			saveState(this.#stateDirectory, { ...this.#state, toldUntilMs: this.#toldUntilMs });
			this.#state.toldUntilMs = this.#toldUntilMs;
		} catch (error) {
			// A full disk, say. The next event tries again.
			this.log.error(`what the receivers know cannot be kept: ${inWords(error)}`);
		}
	}
}

const inWords = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** The first start of the agent since the box started; a mark in /run says so to the next one. */
function isFirstStart(): boolean {
	const mark = join(runDirectory(), "snmp-started");
	if (existsSync(mark)) return false;
	mkdirSync(runDirectory(), { recursive: true });
	writeFileSync(mark, "");
	return true;
}

/** For the agent's next start; a start of the box begins anew. */
const toldPath = () => join(runDirectory(), "snmp-told.json");

function readTold(): Told {
	try {
		return toldSchema.parse(JSON.parse(readFileSync(toldPath(), "utf8")));
	} catch {
		return nothingTold();
	}
}

function writeTold(told: Told): void {
	writeFileSync(`${toldPath()}.new`, JSON.stringify(told), { mode: 0o600 });
	renameSync(`${toldPath()}.new`, toldPath());
}

function agentUser(user: SnmpSettings["users"][number]): AgentUser {
	return {
		name: user.name,
		auth: user.auth,
		authPassword: user.auth_password,
		privacy: user.privacy,
		privacyPassword: user.privacy_password,
	};
}

/** The kept state with engineBoots raised and stored, before anything is answered (RFC 3414 §2.2). */
function loadState(directory: string): State {
	mkdirSync(directory, { recursive: true, mode: 0o700 });
	const path = join(directory, "state.json");
	let state: State = { engineId: newEngineId(), engineBoots: 0, interfaceIndices: {}, toldUntilMs: 0 };
	if (existsSync(path)) {
		const parsed = stateSchema.safeParse(JSON.parse(readFileSync(path, "utf8")));
		if (parsed.success) state = parsed.data;
	}
	state.engineBoots++;
	saveState(directory, state);
	return state;
}

function saveState(directory: string, state: State): void {
	const path = join(directory, "state.json");
	writeFileSync(`${path}.new`, JSON.stringify(state), { mode: 0o600, flush: true });
	renameSync(`${path}.new`, path);
	// Engine boots that a power cut took back would let old messages be replayed.
	const folder = openSync(directory, "r");
	fsyncSync(folder);
	closeSync(folder);
}
