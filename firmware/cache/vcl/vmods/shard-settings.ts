/**
 * Settings of the shard director: what `.backend()` and `shard_param.set()` say, whose word holds where several say
 * something, and the key that comes of it. Reference §8.2.
 */
import { type VclContext, VclFailure } from "../runtime.ts";
import { hashPoint, lastWord } from "./pick.ts";

/** Only what was said. */
export interface ShardSettings {
	readonly by?: "HASH" | "URL" | "KEY" | "BLOB";
	/** With by KEY and BLOB: 32 bits. */
	readonly key?: number;
	readonly alternative?: number;
	readonly warmup?: number;
	readonly rampup?: boolean;
	readonly healthy?: "CHOSEN" | "IGNORE" | "ALL";
}

/** Arguments as VCL gives them: undefined is not given; a key out of its range, or a blob in its place. */
interface GivenSettings extends Omit<ShardSettings, "key"> {
	readonly key?: number | undefined;
	/** A byte string, or null. */
	readonly keyBlob?: unknown;
}

/** A `directors.shard_param()` object, as vcl_init left it. */
export class ShardParam {
	readonly name: string;
	settings: ShardSettings = {};

	constructor(name: string) {
		this.name = name;
	}
}

/** What a task said of a director or of a set of parameters; what it left open is what `base` says. */
interface TaskSettings {
	readonly own: ShardSettings;
	readonly base: ShardParam | null;
}

/** Arguments that do not go together, or are out of their range, are a VCL failure. */
export function checkedSettings(context: VclContext, where: string, given: GivenSettings): ShardSettings {
	const { by = "HASH", key, keyBlob, alternative = 0, warmup = -1 } = given;
	const fail = (what: string): never => {
		throw new VclFailure(`vmod_directors: ${where} ${what}`);
	};
	if (by === "KEY") {
		if (key === undefined) return fail(`missing key argument with by=${by}`);
		if (key < 0 || key > 0xffff_ffff) fail(`invalid key argument ${key} with by=${by}`);
	} else if (by === "BLOB") {
		if (keyBlob === undefined) fail(`missing key_blob argument with by=${by}`);
	} else if (key !== undefined || keyBlob !== undefined)
		fail(`key and key_blob arguments are invalid with by=${by}`);
	if (alternative < 0) fail(`invalid alt argument ${alternative}`);
	if ((warmup < 0 && warmup !== -1) || warmup > 1) fail(`invalid warmup argument ${warmup.toFixed(6)}`);
	const { keyBlob: _, ...settings } = given;
	const said = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
	return by === "BLOB" ? { ...said, key: blobKey(context, where, keyBlob) } : said;
}

/** The first four bytes of a blob; a shorter one counts as if zeros stood before it. */
function blobKey(context: VclContext, where: string, blob: unknown): number {
	if (typeof blob !== "string" || blob.length === 0) {
		context.log("Error", `vmod_directors: ${where} by=BLOB but no or empty key_blob - using key 0`);
		return 0;
	}
	return lastWord(blob.slice(0, 4));
}

/** Where `bereq` decides: pipe counts as the backend side. */
export const isBackendSide = (context: VclContext) => /^vcl_(backend_|pipe)/.test(context.method);

/** The place on the circle that the settings ask for, in the running task. */
export function shardKey(context: VclContext | null, settings: ShardSettings): number {
	const by = settings.by ?? "HASH";
	if (by === "KEY" || by === "BLOB") return settings.key ?? 0;
	if (context === null) return hashPoint("");
	if (by === "HASH" && isBackendSide(context)) return lastWord((context.bereq.hash ?? "").slice(0, 4));
	return hashPoint((/^vcl_backend_/.test(context.method) ? context.bereq : context.req).url);
}

const inTask = (context: VclContext, owner: object) =>
	context.taskState.get(owner) as TaskSettings | undefined;

/** For the rest of the task the owner (a director, or a set of parameters) says this, and nothing that it said before. */
export function setInTask(
	context: VclContext,
	owner: object,
	own: ShardSettings,
	base: ShardParam | null,
): void {
	context.taskState.set(owner, { own, base } satisfies TaskSettings);
}

/** `.set()` and `.clear()`: for good in vcl_init, for the task on the backend side. */
export function setParam(
	context: VclContext,
	where: string,
	param: ShardParam,
	settings: ShardSettings,
): void {
	if (context.method === "vcl_init" || context.method === "vcl_fini") param.settings = settings;
	else if (isBackendSide(context)) setInTask(context, param, settings, param);
	else
		throw new VclFailure(`vmod_directors: ${where} may only be used in vcl_init and in backend/pipe context`);
}

/** What a set of parameters says in this task. */
export function settingsOf(context: VclContext | null, param: ShardParam): ShardSettings {
	const own = context === null || !isBackendSide(context) ? undefined : inTask(context, param)?.own;
	return { ...param.settings, ...own };
}

/** What holds when a director is asked for its choice as a fetch begins: what the task said of it, then its parameters. */
export function settingsAtResolution(
	context: VclContext | null,
	director: object,
	associated: ShardParam | null,
): ShardSettings {
	const said = context === null || !isBackendSide(context) ? undefined : inTask(context, director);
	const base = said === undefined ? associated : said.base;
	return { ...(base === null ? {} : settingsOf(context, base)), ...said?.own };
}
