/**
 * What makes two runs of a program differ on the same request and the same object. A program that used none of it
 * on its way has the same outcome again, so that a hit may be answered as it was before (worker/replay.ts).
 *
 * The compiler marks every use: the code sets `varied` in its context, or raises `hitsBound` where obj.hits is only
 * compared with a constant and every larger number of hits compares alike.
 */
import type { HeaderName } from "./syntax/expression.ts";
import type { Variable } from "./variables.ts";
import { directors } from "./vmods/directors.ts";
import type { VmodFunction } from "./vmods/vmod.ts";

/**
 * Variables that the request's bytes, the client's address, the listener and the object settle. All others vary:
 * clocks, numbers of transactions, what belongs to the connection.
 */
const steadyVariables: ReadonlySet<string> = new Set([
	"client.ip",
	"local.endpoint",
	"local.socket",
	"server.hostname",
	"server.identity",
	...of("req", "backend_hint can_gzip esi esi_level grace hash hash_always_miss hash_ignore_busy"),
	...of("req", "hash_ignore_vary is_hitmiss is_hitpass method proto restarts storage transport ttl url"),
	...of("req_top", "method proto url"),
	...of("obj", "can_esi grace keep proto reason status storage time uncacheable"),
	...of("resp", "do_esi filters is_streaming proto reason status"),
]);

function of(message: string, members: string): string[] {
	return members.split(" ").map((member) => `${message}.${member}`);
}

/** Reading it gives the same again. */
export const isSteadyRead = (variable: Variable): boolean => steadyVariables.has(variable.name);

/**
 * Steady, but of this one URL or object: a program that used it may do otherwise with the next one. What the program
 * asks of req.url by itself, and the fields of answers that it names, are told apart (LoadedVcl.urlShape, answerFields).
 */
const particularVariables: ReadonlySet<string> = new Set([
	...["req.url", "req_top.url", "req.hash"],
	...of("obj", "grace keep storage time"),
]);

export const isParticularRead = ({ name }: Variable): boolean => particularVariables.has(name);
export const isParticularWrite = ({ name }: Variable): boolean => name === "req.url";

/** Setting it concerns nothing beyond this request. */
export const isSteadyWrite = ({ name }: Variable): boolean =>
	name.startsWith("req.") || name.startsWith("resp.");

/** Fields that the delivery itself works out anew for every answer. */
export const isSteadyHeader = ({ message, lower }: HeaderName): boolean =>
	message !== "resp" || (lower !== "age" && lower !== "x-varnish");

/** Functions of nothing but their arguments, the request's own state and what is settled at load time. */
const steadyFunctions: ReadonlySet<string> = new Set([
	...["round", "collect", "querysort", "toupper", "tolower", "strstr", "fnmatch", "duration", "bytes"],
	...["integer", "ip", "real", "time", "strftime", "log", "syntax", "real2integer", "real2time"],
	...["time2integer", "time2real", "getenv"],
]);
const steadyVmods: ReadonlySet<string> = new Set(["blob", "cookie", "header"]);
/** These name the director; which backend it stands for is asked when something is fetched. */
const steadyMethods: ReadonlySet<VmodFunction | undefined> = new Set(
	["round_robin", "fallback", "random"].map((name) => directors.objects.get(name)?.methods.get("backend")),
);

export function isSteadyCall(callee: VmodFunction): boolean {
	// A whole message has the fields in it that are made anew.
	if (callee.arguments.some(({ type }) => type === "HTTP")) return false;
	return (
		steadyVmods.has(callee.vmod) ||
		(callee.vmod === "std" && steadyFunctions.has(callee.name)) ||
		steadyMethods.has(callee)
	);
}
