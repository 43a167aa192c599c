/** Binds a generated program to a process: backends, storage, objects. */
import type { Generated, Tables } from "./compiler.ts";
import {
	type Action,
	type BackendDefinition,
	type Director,
	type LoadedVcl,
	type MethodName,
	type NamedDirector,
	type Subs,
	type TaskSub,
	type VclContext,
	VclFailure,
	type VclHost,
	type WaitingSub,
	type WaitingSubs,
} from "./runtime.ts";
import { support } from "./support.ts";
import type { Program } from "./syntax/program.ts";
import { backendsKey } from "./vmods/directors.ts";
import { syntaxKey } from "./vmods/std.ts";

export function linkProgram(program: Program, generated: Generated, host: VclHost): LoadedVcl {
	const backends = program.backends.map((definition) => host.backend(definition));
	const byName = new Map(backends.map((backend, index) => [program.backends[index]!.name, backend]));
	const isDefault = ({ name }: BackendDefinition) => name === program.defaultBackend;
	const tables: Tables = {
		actions: generated.actions,
		regexes: generated.regexes,
		natives: generated.natives,
		templates: generated.templates,
		acls: generated.acls,
		addresses: generated.addresses,
		backends,
		defaultBackend:
			program.backends.find(isDefault)?.endpoint.kind === "none"
				? null
				: byName.get(program.defaultBackend!)!,
		probes: program.probes,
		stevedores: program.stevedores.map((name) => host.stevedore(name)),
		functions: generated.functions.map(({ call, method, make }) => call ?? method ?? make),
		objects: Object.create(null) as Tables["objects"],
		support,
		host,
	};
	const subs = new Function("t", generated.code)(tables) as Subs & {
		readonly vcl_init: TaskSub;
		readonly vcl_fini: TaskSub;
		readonly urlShape: LoadedVcl["urlShape"];
	};
	const directors = new Map<string, NamedDirector>();
	const fini = () => {
		housekeeping("vcl_fini", subs.vcl_fini, program.syntax, host, byName);
	};
	return {
		syntax: program.syntax,
		subs,
		urlShape: subs.urlShape,
		answerFields: generated.answerFields,
		waitingSubs: generated.waits ? (subs as unknown as WaitingSubs) : null,
		defaultBackend: tables.defaultBackend,
		backends: byName,
		directors,
		init() {
			const action = housekeeping("vcl_init", subs.vcl_init, program.syntax, host, byName);
			if (action.kind === "fail") {
				fini();
				return { ok: false, message: action.message || "Failed from VCL" };
			}
			for (const name of program.instances) {
				const object = tables.objects[name];
				if (object === undefined) {
					fini();
					return { ok: false, message: `Object ${name} not initialized` };
				}
				try {
					object.loaded?.();
				} catch (error) {
					if (!(error instanceof VclFailure)) throw error;
					fini();
					return { ok: false, message: error.message };
				}
				if (object.director !== undefined) directors.set(name, object.director);
			}
			return { ok: true };
		},
		fini,
	};
}

function housekeeping(
	method: MethodName,
	sub: TaskSub,
	syntax: number,
	host: VclHost,
	backends: ReadonlyMap<string, Director>,
): Action {
	const context = {
		method,
		now: host.clock(),
		taskState: new Map<object, unknown>([
			[backendsKey, backends],
			[syntaxKey, syntax],
		]),
		log: host.log.bind(host),
		ban: () => "no cache yet",
		timestamp: () => {},
	};
	// All else of a context belongs to a request.
	for (const name of ["connection", "session", "rollback", "purge", "purgeTags"])
		Object.defineProperty(context, name, {
			get: () => {
				throw new VclFailure(`${method} has no request, and calls a function that needs one`);
			},
		});
	try {
		const result = sub(context as unknown as VclContext) as Action | ReturnType<WaitingSub>;
		if (!("next" in result)) return result;
		const step = result.next();
		if (step.done) return step.value;
		throw new VclFailure(`vtc: ${method} cannot wait`);
	} catch (error) {
		if (error instanceof VclFailure) return { kind: "fail", message: error.message };
		throw error;
	}
}
