/** The top level of a program: version, imports, declarations and subroutines. Reference §2. */
import type { Compilation } from "./compilation.ts";
import { methodByName, methods } from "./methods.ts";
import { parseAcl } from "./parse-acl.ts";
import { parseBackend, parseProbe } from "./parse-backend.ts";
import { block, inlineC } from "./parse-statement.ts";
import type { Program } from "./syntax/program.ts";
import { type Token, tokenName } from "./token.ts";

const topLevel = ["acl", "sub", "backend", "probe", "import", "vcl"] as const;

/** Parses the whole stream: the user's program with its includes, then the built-in one. */
export function parse(c: Compilation): Program {
	if (!c.isWord("vcl")) {
		c.diagnostics.hint =
			"Written for an older Varnish? `drover vcl upgrade FILE` translates it. Else put `vcl 4.1;` on the first line.";
		c.diagnostics.fail(
			"VCL version declaration missing\nUpdate your VCL to Version 4 syntax, and add\n\tvcl 4.1;\non the first line of the VCL files.\n",
			c.token,
		);
	}
	while (c.token.kind !== "EOI") {
		const { token } = c;
		if (token.kind === "CSRC") inlineC(c);
		const word = token.kind === "ID" ? token.text : "";
		switch (word) {
			case "acl":
				parseAcl(c);
				break;
			case "sub":
				parseSub(c);
				break;
			case "backend":
				parseBackend(c);
				break;
			case "probe":
				parseProbe(c);
				break;
			case "import":
				parseImport(c);
				break;
			case "vcl":
				parseVersion(c);
				break;
			default:
				c.diagnostics.fail(
					`Expected one of\n\t${topLevel
						.slice(0, -1)
						.map((each) => `'${each}', `)
						.join("")} or 'vcl'\nFound: ${tokenName(token)} at\n`,
					token,
				);
		}
	}
	return {
		syntax: c.syntax,
		subs: c.subs,
		// The default probe is that of all backends without one, wherever it stands.
		backends: c.backends.map((each) =>
			each.probe === null && each.endpoint.kind !== "none" ? { ...each, probe: c.defaultProbe } : each,
		),
		defaultBackend: c.defaultBackend,
		probes: c.probes,
		acls: c.acls,
		regexes: c.regexes,
		instances: c.instances,
		stevedores: c.settings.stevedores,
		labels: c.usedLabels,
		vmods: c.imported,
		waits: c.waits,
	};
}

function parseVersion(c: Compilation): void {
	const first = c.token;
	c.next();
	const number = c.token;
	if (number.kind !== "FNUM") c.diagnostics.at(`Expected FNUM got ${tokenName(number)}\nat\n`, number);
	if (!/^\d\.\d$/.test(number.text))
		c.diagnostics.fail("Don't play silly buggers with VCL version numbers\n", number);
	const version = Number(number.text[0]) * 10 + Number(number.text[2]);
	c.next();
	if (version < 40 || version > 41)
		c.diagnostics.failBetween(`VCL version ${number.text} not supported.\n`, first, c.token);
	// Said here, because what follows may be the built-in program.
	if (c.token.kind !== ";")
		c.diagnostics.failBetween("Expected 'vcl N.N;' found no semi-colon\n", first, c.token);
	c.next();
	if (c.syntax === 0) c.syntax = version;
	if (version > c.syntax)
		c.diagnostics.failBetween(
			`VCL version ${number.text} higher than the top level version ${(c.syntax / 10).toFixed(1)}\n`,
			first,
			c.token,
		);
}

function parseSub(c: Compilation): void {
	c.next();
	const token = c.expectName("subroutine");
	let symbol = c.lookup("sub", "create");
	if (symbol === undefined) {
		if (
			/^vcl_/i.test(token.text) &&
			token.source.name !== "<builtin>" &&
			!builtinHelpers(c).includes(token.text)
		) {
			c.diagnostics.at("The names 'vcl_*' are reserved for subroutines.\n", token);
			const valid = [...methods.map(({ name }) => name).sort(), ...builtinHelpers(c)];
			c.diagnostics.append(`Valid vcl_* subroutines are:\n${valid.map((name) => `\t${name}\n`).join("")}`);
			c.stop();
		}
		symbol = c.add({
			...c.base(token.text),
			kind: "sub",
			sub: c.sub(token.text),
			exempt: false,
		});
	}
	if (symbol.kind !== "sub") c.stop();
	const { sub } = symbol;
	if (sub.defined !== null && !/^vcl_/i.test(sub.name)) {
		c.diagnostics.at(`Subroutine '${sub.name}' redefined\n`, token);
		c.diagnostics.fail("Previously defined here:\n", sub.defined);
	}
	sub.defined ??= token;
	symbol.defined ??= token;
	c.currentSub = sub;
	sub.bodies.push(block(c));
	c.currentSub = null;
}

/** vcl_builtin_*, vcl_req_* and vcl_beresp_*: parts of the built-in program that users may extend. */
function builtinHelpers(c: Compilation): readonly string[] {
	const names: string[] = [];
	for (const [index, token] of c.tokens.entries())
		if (
			token.source.name === "<builtin>" &&
			token.kind === "ID" &&
			c.tokens[index - 1]?.text === "sub" &&
			!methodByName.has(token.text)
		)
			names.push(token.text);
	return names;
}

function parseImport(c: Compilation): void {
	const first = c.token;
	c.next();
	const nameToken = c.expectName("VMOD");
	const vmod = c.settings.vmods.get(nameToken.text);
	let called = nameToken;
	if (c.isWord("as", c.peek())) {
		c.next();
		c.next();
		called = c.expectName("VMOD");
	}
	const other = c.find(called.text, null);
	if (other !== undefined && other.kind !== "vmod") c.lookup("vmod", "existing");
	else c.next();
	if (c.isAt("ID")) {
		if (!c.isWord("from")) c.diagnostics.fail("Expected 'from path ...'\n", c.token);
		c.next();
		c.expect("CSTR");
		if (!c.settings.unsafePath && c.token.value.includes("/"))
			c.diagnostics.fail("'import ... from path ...' is unsafe.\nAt:", c.token);
		refuseOtherFile(c, nameToken, c.token.value);
		c.next();
	}
	c.skip(";");
	if (vmod === undefined) {
		c.diagnostics.hint = hintForVmod(nameToken.text, [...c.settings.vmods.keys()]);
		c.diagnostics.fail(`Could not find VMOD ${nameToken.text}\n`, nameToken);
	}
	const taken = c.find(called.text, null);
	if (taken !== undefined) {
		if (taken.kind === "vmod" && taken.vmod === vmod) return;
		c.diagnostics.failBetween(`Another module already imported as ${called.text}.\n`, first, c.token);
	}
	c.add({ ...c.base(called.text), defined: first, kind: "vmod", vmod });
	if (!c.imported.includes(vmod.name)) c.imported.push(vmod.name);
	for (const [name, callee] of vmod.functions)
		c.add({ ...c.base(`${called.text}.${name}`), kind: "func", callee });
	for (const [name, object] of vmod.objects)
		c.add({ ...c.base(`${called.text}.${name}`), kind: "object", object });
}

/** Modules are built in. The file of one goes by any path, since it is not needed; another name is a mistake. */
function refuseOtherFile(c: Compilation, name: Token, path: string): void {
	const file = path.slice(path.lastIndexOf("/") + 1);
	if (file === `libvmod_${name.text}.so` || (file === "" && path !== "")) return;
	c.diagnostics.hint = `Modules are part of this program: write \`import ${name.text};\`, without a file.`;
	c.diagnostics.fail(
		path.includes("/")
			? `Could not open VMOD ${name.text}\n\tFile name: ${path}\n`
			: `Could not find VMOD ${name.text}\n`,
		name,
	);
}

/** `there`: the modules that can be imported. */
function hintForVmod(name: string, there: readonly string[]): string {
	const known: Readonly<Record<string, string>> = {
		saintmode: "Probes and `return (retry)` do what saintmode was used for.",
		dynamic: "Backends are resolved when the VCL is loaded; name each address, or reload when DNS changes.",
		vsthrottle: "Rate limits belong in front of the cache (firewall, director) or in the application.",
		bodyaccess: "The request body cannot be read from VCL; hash on a header instead.",
	};
	return `This build has ${there.slice(0, -1).join(", ")} and ${there.at(-1)}. ${known[name] ?? "Remove the import and what uses it."}`;
}
