/** VCL text to a program that runs: `compileVcl` is the front door of this folder. */

import { literalBytes, splitHostAndPort } from "./address.ts";
import { builtinName, builtinVcl } from "./builtin.ts";
import { toByteString } from "./byte-string.ts";
import { check } from "./checker.ts";
import { Compilation, type CompilationSettings, type Resolution, type SocketProblem } from "./compilation.ts";
import { generate } from "./compiler.ts";
import { Diagnostics, Refused, type VclError } from "./diagnostic.ts";
import { hintFor } from "./hint.ts";
import { type Gathering, gather, type Includer } from "./include.ts";
import { linkProgram } from "./link.ts";
import { inlineCProblem } from "./parse-statement.ts";
import { parse } from "./parser.ts";
import type { CompiledVcl } from "./runtime.ts";
import type { SourceFile, Token } from "./token.ts";
import { formatNotes, hasVersion, type UpgradeNote, type UpgradeSyntax, upgradeVcl } from "./upgrade.ts";
import { vmods } from "./vmods/index.ts";

export interface CompileOptions {
	/** Shown in errors: the path of the file, `<vcl.inline>` or `<-b argument>`. */
	readonly name?: string;
	/** Files for `include`; without it every include is refused. */
	readonly include?: Includer;
	/** Looks up host names; without it names are kept for the run time, and ACLs may only hold addresses. */
	readonly resolve?: (name: string) => Resolution;
	readonly checkSocket?: (path: string) => SocketProblem | null;
	readonly checkFile?: (path: string) => string | null;
	/** Storage names of `-s`, Transient included. */
	readonly stevedores?: readonly string[];
	/** Labels that exist. */
	readonly labels?: readonly string[];
	/** vcc_err_unref; default on. */
	readonly unusedIsError?: boolean;
	/** vcc_unsafe_path; default on: a vmod may be named by its file, which nobody looks at. */
	readonly unsafePath?: boolean;
	/** Translate a program without a version line; default on. */
	readonly upgrade?: boolean;
	/** Replaces the built-in program (param builtin_vcl); its own version line included. */
	readonly builtin?: string;
}

export type CompileResult =
	| { readonly ok: true; readonly vcl: CompiledVcl }
	| { readonly ok: false; readonly error: VclError };

/**
 * Compiles VCL 4.0 or 4.1; a program without a version line is translated from VCL 3 first, with a warning for every
 * idiom. Pure: files and names come through the options. Its text is bytes, or a byte string (byte-string.ts).
 *
 *     const result = compileVcl(text, { name: "/etc/varnish/default.vcl" });
 *     if (!result.ok) return formatFailure(result.error);
 *     const loaded = result.vcl.link(host);
 *     const started = loaded.init();
 */
export function compileVcl(source: string | Uint8Array, options: CompileOptions = {}): CompileResult {
	const text = toByteString(source);
	if (options.upgrade === false || hasVersion(text)) return compileVersioned(text, options);
	return compileUpgraded(text, options) ?? compileUpgraded(text, options, "4.0")!;
}

/** `syntax`: what the program's parts need. Null: they need 4.0, and it was not said. */
function compileUpgraded(
	text: string,
	options: CompileOptions,
	syntax?: UpgradeSyntax,
): CompileResult | null {
	const name = options.name ?? "<vcl.inline>";
	const upgraded = upgradeVcl(text, { name, syntax });
	if (upgraded === null) return compileVersioned(text, options);
	let partNeeds40 = false;
	const notes: UpgradeNote[] = [];
	let warnings = formatNotes(name, upgraded.notes);
	notes.push(...upgraded.notes);
	const { include } = options;
	const result = compileVersioned(upgraded.text, {
		...options,
		...(include && {
			include: (request) => {
				const answer = include(request);
				if (!answer.ok) return answer;
				return {
					ok: true,
					files: answer.files.map((file) => {
						const part = hasVersion(file.text)
							? null
							: upgradeVcl(file.text, {
									name: file.name,
									fragment: true,
									directors: upgraded.directors,
								});
						if (part === null) return file;
						partNeeds40 ||= part.syntax === "4.0";
						notes.push(...part.notes);
						warnings += formatNotes(file.name, part.notes);
						return { name: file.name, text: part.text };
					}),
				};
			},
		}),
	});
	if (partNeeds40 && upgraded.syntax !== "4.0") return null;
	if (result.ok) return { ok: true, vcl: { ...result.vcl, warnings: warnings + result.vcl.warnings } };
	// Nothing in it speaks of an older language: a fragment, or the version line was forgotten.
	if (notes.length === 0) {
		const original = compileVersioned(text, options);
		if (original.ok) return original;
		const { text: problem, hint } = result.error;
		const better = problem.startsWith("No backends")
			? "Without a backend this is a part of a program: include it from one that begins with `vcl 4.1;`."
			: problem.startsWith(inlineCProblem)
				? `${hint} Then put \`vcl 4.1;\` on the first line.`
				: original.error.hint;
		return { ok: false, error: { ...original.error, hint: better } };
	}
	return {
		ok: false,
		error: {
			...result.error,
			text: `${warnings}${result.error.text}`,
			hint: `${result.error.hint === null ? "" : `${result.error.hint} `}The program was translated from VCL 3; lines are those of the translation, which \`drover vcl upgrade FILE\` prints.`,
		},
	};
}

function compileVersioned(source: string, options: CompileOptions): CompileResult {
	const tokens: Token[] = [];
	const diagnostics = new Diagnostics(tokens);
	const gathering: Gathering = {
		tokens,
		sources: [],
		diagnostics,
		include: options.include ?? (() => ({ ok: false, error: "Includes are not available here\n" })),
	};
	try {
		const main: SourceFile = {
			name: options.name ?? "<vcl.inline>",
			text: source,
			includedFrom: null,
		};
		gather(gathering, main, false);
		gather(gathering, { name: builtinName, text: options.builtin ?? builtinVcl, includedFrom: null }, true);
		const settings: CompilationSettings = {
			stevedores: options.stevedores ?? ["s0", "Transient"],
			labels: options.labels ?? [],
			vmods,
			unusedIsError: options.unusedIsError ?? true,
			unsafePath: options.unsafePath ?? true,
			resolve: options.resolve ?? null,
			checkSocket: options.checkSocket ?? null,
			checkFile: options.checkFile ?? null,
		};
		const compilation = new Compilation(tokens, diagnostics, settings);
		const program = parse(compilation);
		check(compilation, program);
		const generated = generate(program);
		return {
			ok: true,
			vcl: {
				syntax: program.syntax,
				code: generated.code,
				sources: gathering.sources.map(({ name, text }) => ({ name, text })),
				backends: program.backends,
				defaultBackend: program.defaultBackend!,
				probes: program.probes,
				acls: program.acls.map(({ name }) => name),
				labels: program.labels,
				vmods: program.vmods,
				warnings: diagnostics.text,
				link: (host) => linkProgram(program, generated, host),
			},
		};
	} catch (error) {
		if (!(error instanceof Refused)) throw error;
		return {
			ok: false,
			error: {
				text: diagnostics.text,
				place: diagnostics.place,
				hint: diagnostics.hint ?? hintFor(lastBlock(diagnostics.text)),
			},
		};
	}
}

/** The text after the warnings. */
function lastBlock(text: string): string {
	const end = "(That was just a warning)\n";
	const at = text.lastIndexOf(end);
	return at < 0 ? text : text.slice(at + end.length);
}

/**
 * Host names that a compilation will ask for, so that they can be looked up beforehand: the strings of `.host`
 * fields and of ACLs that are no addresses. Never throws; a program that does not lex has none.
 */
export function hostNames(source: string | Uint8Array, options: CompileOptions = {}): readonly string[] {
	const tokens: Token[] = [];
	const names = new Set<string>();
	try {
		gather(
			{
				tokens,
				sources: [],
				diagnostics: new Diagnostics(tokens),
				include: options.include ?? (() => ({ ok: true, files: [] })),
			},
			{ name: options.name ?? "<vcl.inline>", text: toByteString(source), includedFrom: null },
			true,
		);
	} catch (error) {
		if (!(error instanceof Refused)) throw error;
	}
	let inAcl = false;
	for (const [index, token] of tokens.entries()) {
		if (token.kind === "ID" && token.text === "acl" && tokens[index + 1]?.kind === "ID") inAcl = true;
		else if (inAcl && token.kind === "}") inAcl = false;
		if (token.kind !== "CSTR") continue;
		const isHost = tokens[index - 1]?.kind === "=" && tokens[index - 2]?.text === "host";
		if (!isHost && !inAcl) continue;
		const split = splitHostAndPort(token.value);
		if ("error" in split) continue;
		const host = inAcl ? token.value.split("/")[0]! : split.host;
		if (host !== "" && literalBytes(host) === null && !/^[\d.]+$/.test(host)) names.add(host);
	}
	return [...names];
}
