/** vmod directors: round robin, fallback, random, hash and shard. Reference §8.2. */
import {
	type AdminHealth,
	type Director,
	type DirectorReport,
	type NamedDirector,
	type VclContext,
	VclFailure,
	type VclHost,
} from "../runtime.ts";
import { hashPoint, pickByWeight, pickFirst, pickInTurn, type Weighted } from "./pick.ts";
import { buildRing, maxPoints, pickShard, type RingPoint } from "./ring.ts";
import { type ShardChange, type ShardMember, withChanges } from "./shard-members.ts";
import {
	checkedSettings,
	isBackendSide,
	ShardParam,
	type ShardSettings,
	setInTask,
	setParam,
	settingsAtResolution,
	settingsOf,
	shardKey,
} from "./shard-settings.ts";
import { vmod } from "./vmod.ts";

/** Bound of members of one director. */
const maxMembers = 10_000;

const twoToThe32 = 2 ** 32;

/** vcl_init finds the program's backends under this key of its task state. */
export const backendsKey: object = {};

/** A picking director that others can hold: `choose` decides, members may be directors themselves. */
abstract class Base implements NamedDirector {
	abstract readonly type: string;
	readonly name: string;
	readonly host: VclHost;
	readonly definition = null;
	admin: AdminHealth = "auto";
	adminChangedAt = 0;

	constructor(host: VclHost, name: string) {
		this.host = host;
		this.name = name;
	}

	abstract members(): readonly Director[];
	abstract choose(context: VclContext | null): Director | null;

	resolve(context: VclContext | null): Director | null {
		return this.choose(context)?.resolve(context) ?? null;
	}

	healthy(context: VclContext | null): boolean {
		if (this.admin !== "auto") return this.admin === "healthy";
		return this.members().some((member) => member.healthy(context));
	}

	get changedAt(): number {
		return this.members().reduce((last, { changedAt }) => Math.max(last, changedAt), this.adminChangedAt);
	}

	report(): DirectorReport {
		const members = this.members();
		const well = members.filter((member) => member.healthy(null)).length;
		return {
			type: this.type,
			members: [well, members.length],
			healthy: well > 0,
			changedAt: this.changedAt,
			...this.details(),
		};
	}

	/** What may become one more member. */
	protected admit(backend: Director | null): Director {
		if (isNone(backend)) throw new VclFailure(`${this.name}: None backend cannot be added`);
		if (this.members().length >= maxMembers)
			throw new VclFailure(`${this.name}: more than ${maxMembers} backends`);
		return backend;
	}

	/** Where a member stands that is to go; -1: it is no member. */
	protected placeOf(backend: Director | null): number {
		if (isNone(backend)) throw new VclFailure(`${this.name}: None backend cannot be removed`);
		return this.members().indexOf(backend);
	}

	/** `table` and `figures` of the report. */
	protected abstract details(): Pick<DirectorReport, "table" | "figures">;

	/** What `.backend()` gives: the director itself, so that the choice falls when the fetch begins. */
	get director(): Director {
		return this;
	}
}

function isNone(backend: Director | null): backend is null {
	return backend === null || backend.definition?.endpoint.kind === "none";
}

const healthOf = (member: Director) => (member.healthy(null) ? "healthy" : "sick");

abstract class List extends Base {
	readonly list: Director[] = [];

	members(): readonly Director[] {
		return this.list;
	}

	add(backend: Director | null): void {
		this.list.push(this.admit(backend));
	}

	remove(backend: Director | null): void {
		const index = this.placeOf(backend);
		if (index < 0) return;
		this.list.splice(index, 1);
		this.removed(index);
	}

	/** What the director remembers of places changes with them. */
	protected removed(_index: number): void {}
}

class RoundRobin extends List {
	readonly type = "round-robin";
	private turn = 0;

	override choose(context: VclContext | null): Director | null {
		const { member, turn } = pickInTurn(this.list, (each) => each.healthy(context), this.turn);
		this.turn = turn;
		return member;
	}

	protected details() {
		return {
			table: [
				["Backend", "Weight", "Health"],
				...this.list.map((member) => [member.name, "-", healthOf(member)]),
			],
			figures: {
				backends: Object.fromEntries(this.list.map((member) => [member.name, { health: healthOf(member) }])),
			},
		};
	}
}

class Fallback extends List {
	readonly type = "fallback";
	private current = 0;
	private readonly sticky: boolean;

	constructor(host: VclHost, name: string, sticky: boolean) {
		super(host, name);
		this.sticky = sticky;
	}

	/** The current one stays so; when it is the last one that goes, the first is next. */
	protected override removed(index: number): void {
		if (index < this.current) this.current--;
		else if (this.current === this.list.length) this.current = 0;
	}

	override choose(context: VclContext | null): Director | null {
		const { member, current } = pickFirst(
			this.list,
			(each) => each.healthy(context),
			this.sticky,
			this.current,
		);
		this.current = current;
		return member;
	}

	protected details() {
		return {
			table: [
				["Backend", "Current", "Health"],
				...this.list.map((member, at) => [member.name, at === this.current ? "*" : "", healthOf(member)]),
			],
			figures: {
				sticky: this.sticky,
				backends: Object.fromEntries(
					this.list.map((member, at) => [
						member.name,
						{ current: at === this.current, health: healthOf(member) },
					]),
				),
			},
		};
	}
}

class WeightedList extends Base {
	readonly type: string = "random";
	readonly list: Weighted<Director>[] = [];

	members(): readonly Director[] {
		return this.list.map(({ member }) => member);
	}

	choose(context: VclContext | null): Director | null {
		return this.at(context, this.host.random());
	}

	at(context: VclContext | null, point: number): Director | null {
		return pickByWeight(this.list, (each) => each.healthy(context), point);
	}

	add(member: Director | null, weight: number): void {
		this.list.push({ member: this.admit(member), weight });
	}

	remove(member: Director | null): void {
		const index = this.placeOf(member);
		if (index >= 0) this.list.splice(index, 1);
	}

	/** Who is sick has no part. */
	protected details(): Pick<DirectorReport, "table" | "figures"> {
		const parts = this.list.map(({ member, weight }) => ({
			name: member.name,
			health: healthOf(member),
			weight: member.healthy(null) ? weight : 0,
		}));
		const total = parts.reduce((sum, { weight }) => sum + weight, 0);
		const share = (weight: number) => `${((100 * weight) / (total || 1)).toFixed(2).padStart(6)}%`;
		return {
			table: [
				["Backend", "Weight", "Health"],
				...parts.map(({ name, health, weight }) => [name, share(weight), health]),
			],
			figures: {
				total_weight: total,
				backends: Object.fromEntries(parts.map(({ name, weight, health }) => [name, { weight, health }])),
			},
		};
	}
}

/** varnishd says nothing of its members. */
class Hash extends WeightedList {
	override readonly type = "hash";

	override report(): DirectorReport {
		return { ...super.report(), members: null, table: [], figures: {} };
	}
}

/** Bound of what one task changes of a director. */
const maxChanges = 10_000;

/** What reconfigure has when nobody calls it. */
const usualReplicas = 67;

class Shard extends Base {
	readonly type = "shard";
	private list: readonly ShardMember[] = [];
	private ring: readonly RingPoint[] = [];
	private changes: ShardChange[] = [];
	/** The state of the task that made them. */
	private changer: object | null = null;
	warmup = 0;
	rampupSeconds = 0;
	associated: ShardParam | null = null;

	members(): readonly Director[] {
		return this.list.map(({ backend }) => backend);
	}

	get where(): string {
		return `vmod_directors: shard ${this.name}:`;
	}

	change(context: VclContext, change: ShardChange): true {
		if (this.changer !== context.taskState) this.settle();
		if (this.changes.length >= maxChanges)
			throw new VclFailure(`${this.where} more than ${maxChanges} changes in one task`);
		this.changer = context.taskState;
		this.changes.push(change);
		return true;
	}

	/** False, and a line in the log: nothing is to choose from any more, or there is no such number. */
	reconfigure(log: VclContext["log"], replicas: number): boolean {
		const refuse = (why: string) => {
			log("Error", `${this.where} .reconfigure() ${why}`);
			return false;
		};
		if (replicas <= 0) return refuse(`invalid replicas argument ${replicas}`);
		if (this.changes.length === 0) return true;
		const { changes } = this;
		this.changes = [];
		const list = withChanges(this.list, changes, replicas, (text) => log("Notice", `${this.where} ${text}`));
		if (list.length > maxMembers) throw new VclFailure(`${this.where} more than ${maxMembers} backends`);
		const ring = buildRing(list);
		if (ring === null)
			throw new VclFailure(`${this.where} more than ${maxPoints} points: lower weights or replicas`);
		this.list = list;
		this.ring = ring;
		return list.length > 0 || refuse("no backends");
	}

	/** The task that changed something is over. What it asked too much of is void, and costs no other task anything. */
	private settle(): void {
		try {
			this.loaded();
		} catch (error) {
			if (!(error instanceof VclFailure)) throw error;
			this.host.log("Error", error.message);
		}
	}

	/** vcl_init is over. Throws a VclFailure when it asked too much. */
	loaded(): void {
		this.reconfigure(this.host.log.bind(this.host), usualReplicas);
	}

	choose(context: VclContext | null): Director | null {
		return this.pick(context, settingsAtResolution(context, this, this.associated));
	}

	pick(context: VclContext | null, settings: ShardSettings): Director | null {
		if (this.changes.length > 0 && this.changer !== context?.taskState) this.settle();
		if (this.list.length === 0) context?.log("Error", `${this.where} no backends`);
		const index = pickShard(
			this.ring,
			this.list.length,
			{
				key: shardKey(context, settings),
				alternative: settings.alternative ?? 0,
				warmup: settings.warmup ?? -1,
				rampup: settings.rampup ?? true,
				healthy: settings.healthy ?? "CHOSEN",
			},
			{
				healthy: (member) => this.list[member]!.backend.healthy(context),
				changedAt: (member) => this.list[member]!.backend.changedAt,
				rampupSeconds: (member) => this.list[member]!.rampupSeconds ?? this.rampupSeconds,
				defaultWarmup: this.warmup,
				now: context?.now ?? this.host.clock(),
				random: () => this.host.random(),
			},
		);
		return index === null ? null : this.list[index]!.backend;
	}

	/** How far a member that came back has risen, and for how many seconds it still does. */
	private rampupOf({ backend, rampupSeconds }: ShardMember): { part: number; leftSeconds: number } {
		const seconds = rampupSeconds ?? this.rampupSeconds;
		if (!backend.healthy(null)) return { part: 0, leftSeconds: 0 };
		const passed = Math.max(0, this.host.clock() - backend.changedAt);
		return passed >= seconds
			? { part: 1, leftSeconds: 0 }
			: { part: passed / seconds, leftSeconds: seconds - passed };
	}

	protected details() {
		const members = this.list.map((member) => ({
			name: member.backend.name,
			ident: member.ident,
			health: healthOf(member.backend),
			...this.rampupOf(member),
		}));
		const rampup = (part: number, leftSeconds: number) =>
			`${(100 * part).toFixed(2).padStart(6)}% ${leftSeconds.toFixed(3).padStart(8)}s`;
		return {
			table: [
				["Backend", "Ident", "Health", "Rampup  Remaining"],
				...members.map(({ name, ident, health, part, leftSeconds }) => [
					name,
					ident,
					health,
					rampup(part, leftSeconds),
				]),
			],
			figures: {
				warmup: this.warmup,
				rampup_duration: this.rampupSeconds,
				backends: Object.fromEntries(
					members.map(({ name, ident, health, part, leftSeconds }) => [
						name,
						{ ident, health, rampup: part, rampup_remaining: leftSeconds },
					]),
				),
			},
		};
	}
}

const shardParameters =
	"[ ENUM {HASH, URL, KEY, BLOB} by ], [ INT key ], [ BLOB key_blob ], [ INT alt ], [ REAL warmup ], [ BOOL rampup ], [ ENUM {CHOSEN, IGNORE, ALL} healthy ]";

export const directors = vmod(
	"directors",
	[
		[
			"lookup",
			"STRING",
			"BACKEND",
			(context, _host, name: string | null) => {
				if (context.method !== "vcl_init" && context.method !== "vcl_fini")
					throw new VclFailure("lookup() may only be called from vcl_init / vcl_fini");
				const backends = context.taskState.get(backendsKey) as ReadonlyMap<string, Director>;
				return backends.get(name ?? "") ?? null;
			},
		],
	],
	[
		{
			name: "round_robin",
			signature: "",
			make: (host, name) => new RoundRobin(host, name),
			methods: [
				["add_backend", "BACKEND", "VOID", (self, _context, backend) => self.add(backend)],
				["remove_backend", "BACKEND", "VOID", (self, _context, backend) => self.remove(backend)],
				["backend", "", "BACKEND", (self) => self],
			],
		},
		{
			name: "fallback",
			signature: "BOOL sticky = 0",
			make: (host, name, sticky: boolean) => new Fallback(host, name, sticky),
			methods: [
				["add_backend", "BACKEND", "VOID", (self, _context, backend) => self.add(backend)],
				["remove_backend", "BACKEND", "VOID", (self, _context, backend) => self.remove(backend)],
				["backend", "", "BACKEND", (self) => self],
			],
		},
		{
			name: "random",
			signature: "",
			make: (host, name) => new WeightedList(host, name),
			methods: [
				["add_backend", "BACKEND, REAL", "VOID", (self, _c, backend, weight) => self.add(backend, weight)],
				["remove_backend", "BACKEND", "VOID", (self, _context, backend) => self.remove(backend)],
				["backend", "", "BACKEND", (self) => self],
			],
		},
		{
			name: "hash",
			signature: "",
			make: (host, name) => new Hash(host, name),
			methods: [
				[
					"add_backend",
					"BACKEND, REAL weight = 1.0",
					"VOID",
					(self, _c, backend, weight) => self.add(backend, weight),
				],
				["remove_backend", "BACKEND", "VOID", (self, _context, backend) => self.remove(backend)],
				[
					"backend",
					"STRANDS",
					"BACKEND",
					(self: WeightedList, context, key: string) => self.at(context, hashPoint(key) / twoToThe32),
				],
			],
		},
		{
			name: "shard",
			signature: "",
			make: (host, name) => new Shard(host, name),
			methods: [
				[
					"set_warmup",
					"REAL probability=0.0",
					"VOID",
					(self: Shard, context, probability: number) => {
						if (probability < 0 || probability >= 1)
							context.log("Notice", `${self.where} .set_warmup(${probability.toFixed(6)}) ignored`);
						else self.warmup = probability;
					},
				],
				[
					"set_rampup",
					"DURATION duration=0",
					"VOID",
					(self: Shard, _context, duration: number) => {
						self.rampupSeconds = duration;
					},
				],
				[
					"associate",
					"BLOB param=0",
					"VOID",
					(self: Shard, _context, param) => {
						self.associated = param instanceof ShardParam ? param : null;
					},
				],
				[
					"add_backend",
					"BACKEND backend, [STRING ident], [DURATION rampup], [REAL weight]",
					"BOOL",
					(self: Shard, context, backend, ident, rampup, weight = 1) => {
						if (isNone(backend)) throw new VclFailure(`${self.where} None backend cannot be added`);
						if (weight < 1)
							context.log("Notice", `${self.where} .add_backend(weight=${weight.toFixed(6)}) ignored`);
						return self.change(context, {
							kind: "add",
							backend,
							ident: ident || null,
							rampupSeconds: rampup ?? null,
							weight: Math.max(1, weight),
						});
					},
				],
				[
					"remove_backend",
					"[BACKEND backend=0], [STRING ident=0]",
					"BOOL",
					(self: Shard, context, backend = null, ident = null) => {
						if (isNone(backend) && !ident)
							throw new VclFailure(`${self.where} .remove_backend(): either backend or ident are required`);
						return self.change(context, { kind: "remove", backend, ident: ident || null });
					},
				],
				["clear", "", "BOOL", (self: Shard, context) => self.change(context, { kind: "clear" })],
				[
					"reconfigure",
					"INT replicas=67",
					"BOOL",
					(self: Shard, context, replicas: number) => self.reconfigure(context.log.bind(context), replicas),
				],
				["key", "STRANDS", "INT", (_self, _context, text: string) => hashPoint(text)],
				[
					"backend",
					`${shardParameters}, [ BLOB param ], [ ENUM {NOW, LAZY} resolve]`,
					"BACKEND",
					(self: Shard, context, by, key, keyBlob, alternative, warmup, rampup, healthy, param, resolve) => {
						const where = `shard ${self.name}:`;
						const fail = (what: string): never => {
							throw new VclFailure(`vmod_directors: ${where} ${what}`);
						};
						const atStart = context.method === "vcl_init" || context.method === "vcl_fini";
						const own = checkedSettings(context, `${where} shard.backend()`, {
							by,
							key,
							keyBlob,
							alternative,
							warmup,
							rampup,
							healthy,
						});
						const base: ShardParam | null = param === undefined ? self.associated : param;
						if (param !== undefined && !(param instanceof ShardParam))
							fail(".backend(key_blob) param invalid");
						if (resolve === "LAZY" || (resolve === undefined && atStart)) {
							if (param === undefined && Object.keys(own).length === 0) return self;
							if (!isBackendSide(context))
								fail(".backend(resolve=LAZY) with other parameters can only be used in backend/pipe context");
							setInTask(context, self, own, base);
							return self;
						}
						if (atStart) fail(".backend(resolve=NOW) can not be used in vcl_init{}/vcl_fini{}");
						// What the task said of parameters counts for those that are associated; with `param` for what comes later.
						const said = base === null || param !== undefined ? base?.settings : settingsOf(context, base);
						return self.pick(context, { ...said, ...own });
					},
				],
				["debug", "INT", "VOID", () => undefined],
			],
		},
		{
			name: "shard_param",
			signature: "",
			make: (_host, name) => new ShardParam(name),
			methods: [
				[
					"clear",
					"",
					"VOID",
					(self: ShardParam, context) => setParam(context, "shard_param.clear()", self, {}),
				],
				[
					"set",
					shardParameters,
					"VOID",
					(self: ShardParam, context, by, key, keyBlob, alternative, warmup, rampup, healthy) => {
						const where = `shard ${self.name}: shard_param.set()`;
						const given = { by, key, keyBlob, alternative, warmup, rampup, healthy };
						setParam(context, where, self, checkedSettings(context, where, given));
					},
				],
				["get_by", "", "STRING", (self, context) => settingsOf(context, self).by ?? "HASH"],
				["get_key", "", "INT", (self, context) => shardKey(context, settingsOf(context, self))],
				["get_alt", "", "INT", (self, context) => settingsOf(context, self).alternative ?? 0],
				["get_warmup", "", "REAL", (self, context) => settingsOf(context, self).warmup ?? -1],
				["get_rampup", "", "BOOL", (self, context) => settingsOf(context, self).rampup ?? true],
				["get_healthy", "", "STRING", (self, context) => settingsOf(context, self).healthy ?? "CHOSEN"],
				["use", "", "BLOB", (self) => self],
			],
		},
	],
);
