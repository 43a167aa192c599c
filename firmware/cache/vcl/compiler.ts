/**
 * A checked program to one JavaScript function. User text enters the source only as JSON literals; regular
 * expressions, ACLs, backends, vmod functions and objects live in side tables (`Tables`).
 *
 * The code is plain on purpose: engines compile straight-line member accesses and `===` on constants best.
 * Names in it: `c` the context, `r` a callee's action, `x` a subject, `K*` actions, `R*` matchers, `N*` expressions, `T*` replacement templates,
 * `A*` ACLs, `B*` backends, `F*` vmod functions, `O` objects, `S` support, `H` the host, `h*` header fields read before.
 *
 * A header field that has been read on every way to a place is not looked up again: its value stays in a local until
 * something may have changed it. Looking fields up is most of what a policy does.
 */
import { type CompiledAcl, compileAcl } from "./acl.ts";
import { methods } from "./methods.ts";
import { partsOf } from "./parse-expression.ts";
import type { Matcher } from "./regex/regex.ts";
import { parseTemplate, type Template } from "./regsub.ts";
import type { Action, Director, IpAddress, Stevedore, VclHost } from "./runtime.ts";
import {
	isParticularRead,
	isParticularWrite,
	isSteadyCall,
	isSteadyHeader,
	isSteadyRead,
	isSteadyWrite,
} from "./steady.ts";
import { isHeaderSafe, type Support } from "./support.ts";
import type { Expression, HeaderName } from "./syntax/expression.ts";
import type { Program, Sub } from "./syntax/program.ts";
import type { Block, If, SetVariable, Statement } from "./syntax/statement.ts";
import type { SimpleType } from "./types.ts";
import type { Implementation, MethodImplementation, Value, VmodFunction } from "./vmods/vmod.ts";

/** Side tables of one linked program. */
export interface Tables {
	readonly actions: readonly Action[];
	readonly regexes: readonly Matcher[];
	readonly natives: readonly (RegExp | null)[];
	readonly templates: readonly Template[];
	readonly acls: readonly CompiledAcl[];
	readonly addresses: readonly IpAddress[];
	readonly backends: readonly Director[];
	readonly defaultBackend: Director | null;
	readonly probes: readonly unknown[];
	readonly stevedores: readonly (Stevedore | null)[];
	readonly functions: readonly (Implementation | MethodImplementation | VmodFunction["make"])[];
	/** Objects by name, filled by vcl_init. */
	readonly objects: Record<string, Value>;
	readonly support: Support;
	readonly host: VclHost;
}

/** What the compiler makes: the source, and the parts of the tables that do not depend on the process. */
export interface Generated {
	readonly code: string;
	readonly actions: readonly Action[];
	readonly regexes: readonly Matcher[];
	readonly natives: readonly (RegExp | null)[];
	readonly templates: readonly Template[];
	readonly acls: readonly CompiledAcl[];
	readonly addresses: readonly IpAddress[];
	readonly functions: readonly VmodFunction[];
	/** Lower-case names of fields of resp and obj that the program names. */
	readonly answerFields: ReadonlySet<string>;
	/** The subs are generators. */
	readonly waits: boolean;
}

export function generate(program: Program): Generated {
	return new Generator(program).run();
}

const json = JSON.stringify;
/** Questions about req.url that urlShape() answers, a bit each. */
const URL_TEST_LIMIT = 24;
/** Names of subs may hold dashes. */
const functionName = (sub: string) => `s_${sub.toLowerCase().replaceAll("-", "$")}`;

class Generator {
	private readonly actions: Action[] = [];
	private readonly templates: Template[] = [];
	private readonly addresses: IpAddress[] = [];
	private readonly functions: VmodFunction[] = [];
	private readonly acls: readonly CompiledAcl[];
	/** Conditions on the URL `u`. */
	private readonly urlTests: string[] = [];
	private readonly answerFields = new Set<string>();
	/** Locals of the sub at hand, by "message.field". */
	private locals = new Map<string, string>();
	/** Fields whose local is current at this place. */
	private known = new Set<string>();

	private readonly program: Program;

	constructor(program: Program) {
		this.program = program;
		this.acls = program.acls.map(({ name, logs, rules }) => compileAcl(name, logs, rules));
	}

	run(): Generated {
		const bodies: string[] = [];
		for (const sub of this.program.subs.values()) if (sub.bodies.length > 0) bodies.push(this.sub(sub));
		const head: string[] = ['"use strict";', "const S = t.support, H = t.host, O = t.objects;"];
		const bind = (letter: string, table: string, count: number) => {
			for (let index = 0; index < count; index++)
				head.push(`const ${letter}${index} = t.${table}[${index}];`);
		};
		bind("K", "actions", this.actions.length);
		bind("R", "regexes", this.program.regexes.length);
		bind("N", "natives", this.program.regexes.length);
		bind("T", "templates", this.templates.length);
		bind("A", "acls", this.acls.length);
		bind("I", "addresses", this.addresses.length);
		bind("B", "backends", this.program.backends.length);
		bind("P", "probes", this.program.probes.length);
		bind("M", "stevedores", this.program.stevedores.length);
		bind("F", "functions", this.functions.length);
		const exported = methods.map(({ name }) => `${name}: ${functionName(name)}`).join(", ");
		return {
			code: `${head.join("\n")}\n${bodies.join("\n")}\n${this.urlShape()}\nreturn { ${exported}, urlShape };\n`,
			actions: this.actions,
			regexes: this.program.regexes.map(({ matcher }) => matcher),
			natives: this.program.regexes.map(({ native }) => native),
			templates: this.templates,
			acls: this.acls,
			addresses: this.addresses,
			functions: this.functions,
			answerFields: this.answerFields,
			waits: this.program.waits,
		};
	}

	private sub(sub: Sub): string {
		this.locals = new Map();
		this.known = new Set();
		const lines = sub.bodies.flatMap((body) => this.block(body, 1));
		const locals = [...this.locals.values()];
		if (lines.some((line) => line.includes("(r = "))) locals.unshift("r");
		if (lines.some((line) => line.includes("((x = "))) locals.unshift("x");
		if (locals.length > 0) lines.unshift(`\tlet ${locals.join(", ")};`);
		return `function${this.program.waits ? "*" : ""} ${functionName(sub.name)}(c) {\n${lines.join("\n")}\n}`;
	}

	// ── header fields in locals ──

	private local(name: HeaderName): string {
		this.names(name);
		const key = `${name.message}.${name.lower}`;
		let local = this.locals.get(key);
		if (local === undefined) {
			local = `h${this.locals.size}`;
			this.locals.set(key, local);
		}
		return local;
	}

	private readHeader(name: HeaderName): string {
		const key = `${name.message}.${name.lower}`;
		const local = this.local(name);
		if (this.known.has(key)) return local;
		this.learn(key);
		const read = `${local} = c.${name.message}.header(${json(name.lower)})`;
		return isSteadyHeader(name) ? `(${read})` : `(c.varied = true, ${read})`;
	}

	/** The field's local holds the new value. req_top is req itself, but for parts of pages. */
	private changed(name: HeaderName): void {
		this.learn(`${name.message}.${name.lower}`);
		if (name.message === "req") this.known.delete(`reqTop.${name.lower}`);
	}

	/** What a program waits for (std.cache_req_body) may change fields. */
	private learn(key: string): void {
		if (!this.program.waits) this.known.add(key);
	}

	/** Runs `work` for code that may be left out: what it reads is not known afterwards. */
	private aside<T>(work: () => T): T {
		const before = new Set(this.known);
		const result = work();
		this.known = before;
		return result;
	}

	// ── what is particular to a URL or an object ──

	private names({ message, lower }: HeaderName): void {
		if (message === "resp" || message === "obj") this.answerFields.add(lower);
	}

	private urlShape(): string {
		const bits = this.urlTests.map((test, index) => `\tif (${test}) s |= ${1 << index};`);
		return ["function urlShape(u) {", "\tlet s = 0;", ...bits, "\treturn s;", "}"].join("\n");
	}

	/** True when urlShape() knows the answer to `test`, a condition on `u`. */
	private knowsOfUrl(test: string): boolean {
		if (this.urlTests.includes(test)) return true;
		return this.urlTests.length < URL_TEST_LIMIT && this.urlTests.push(test) > 0;
	}

	// ── statements ──

	private block(block: Block, depth: number): string[] {
		return block.statements.flatMap((statement) => this.statement(statement, depth));
	}

	private statement(statement: Statement, depth: number): string[] {
		const indent = "\t".repeat(depth);
		const line = (text: string) => [`${indent}${text}`];
		switch (statement.kind) {
			case "block":
				return [...line("{"), ...this.block(statement, depth + 1), ...line("}")];
			case "if":
				return this.if(statement, depth);
			case "set-variable":
				return line(this.setVariable(statement));
			case "set-header": {
				const { name } = statement;
				const { value } = statement;
				const joined: Expression =
					statement.operator === "="
						? value
						: {
								kind: "concatenation",
								type: "STRINGS",
								parts: [this.headerText(name), ...partsOf(value)],
							};
				const text = this.checkedHeader(name, joined);
				this.changed(name);
				const mark = isSteadyHeader(name) ? "" : "c.varied = true; ";
				// A constant is put together here.
				if (joined.kind === "string" && isCleanText(joined))
					return line(
						`${mark}c.${name.message}.setLine(${json(name.lower)}, ${json(`${name.written}: ${joined.value}`)}); ${this.local(name)} = ${text};`,
					);
				return line(
					`${mark}c.${name.message}.setHeader(${json(name.lower)}, ${json(name.written)}, ${this.local(name)} = ${text});`,
				);
			}
			case "set-body": {
				const text =
					statement.value.type === "BLOB" ? this.value(statement.value) : this.text(statement.value);
				const method = statement.operator === "=" ? "setBody" : "addBody";
				return line(`c.${statement.message}.${method}(${text});`);
			}
			case "unset-header": {
				const { name } = statement;
				this.changed(name);
				return line(`c.${name.message}.unsetHeader(${json(name.lower)}); ${this.local(name)} = null;`);
			}
			case "unset-body":
				this.known.delete(`${statement.message}.content-length`);
				return line(`c.${statement.message}.unsetBody();`);
			case "call":
				this.known.clear();
				return line(
					`if ((r = ${this.program.waits ? "yield* " : ""}${functionName(statement.sub)}(c)) !== undefined) return r;`,
				);
			case "leave":
				return line("return undefined;");
			case "return":
				return line(this.return(statement.action, statement.arguments, statement.label));
			case "new":
				return line(
					`O[${json(statement.name)}] = ${this.function(statement.callee)}(${["H", json(statement.name), ...this.arguments(statement.callee, statement.arguments)].join(", ")});`,
				);
			case "ban":
				return line(`c.varied = true; S.ban(c, ${this.nullable(statement.expression)});`);
			case "hash-data":
				return line(isUrl(statement.value) ? "c.hashUrl();" : `c.hashData(${this.text(statement.value)});`);
			case "synthetic":
				return line(`S.synthetic(c, ${this.text(statement.value)});`);
			case "evaluate": {
				const { expression } = statement;
				const code = this.value(expression);
				// std.collect, std.rollback and vmod header change messages.
				if (
					expression.kind === "vmod-call" &&
					expression.callee.arguments.some(({ type }) => type === "HEADER" || type === "HTTP")
				)
					this.known.clear();
				return line(`${code};`);
			}
			default:
				return statement satisfies never;
		}
	}

	private if(statement: If, depth: number): string[] {
		const indent = "\t".repeat(depth);
		const asSwitch = this.switch(statement, depth);
		if (asSwitch !== null) return asSwitch;
		const lines: string[] = [];
		const exits: Set<string>[] = [];
		for (const [index, { condition, body }] of statement.branches.entries()) {
			const { code, whenTrue, whenFalse } = this.condition(condition);
			lines.push(`${indent}${index === 0 ? "" : "} else "}if (${code}) {`);
			this.known = whenTrue;
			lines.push(...this.block(body, depth + 1));
			if (!endsTask(body)) exits.push(this.known);
			this.known = whenFalse;
		}
		if (statement.otherwise !== null) {
			lines.push(`${indent}} else {`, ...this.block(statement.otherwise, depth + 1));
			if (!endsTask(statement.otherwise)) exits.push(this.known);
		} else exits.push(this.known);
		this.known = intersection(exits);
		lines.push(`${indent}}`);
		return lines;
	}

	/**
	 * A chain of `X == "literal"` on one X becomes a `switch`: X is read once. Only for reads without side effect,
	 * and only while every condition is such a comparison, so the order of evaluation cannot be told apart.
	 */
	private switch(statement: If, depth: number): string[] | null {
		if (statement.branches.length < 3) return null;
		let subject: Expression | null = null;
		const cases: { words: string[]; body: Block }[] = [];
		const seen = new Set<string>();
		for (const { condition, body } of statement.branches) {
			const words: string[] = [];
			for (const operand of condition.kind === "logical" && condition.operator === "||"
				? condition.operands
				: [condition]) {
				if (operand.kind !== "text-comparison" || operand.operator !== "==") return null;
				if (operand.right.kind !== "string" || !isPlainRead(operand.left)) return null;
				if (subject !== null && json(subject) !== json(operand.left)) return null;
				subject = operand.left;
				if (seen.has(operand.right.value)) continue;
				seen.add(operand.right.value);
				words.push(operand.right.value);
			}
			cases.push({ words, body });
		}
		const indent = "\t".repeat(depth);
		const known = isUrl(subject!) && [...seen].every((word) => this.knowsOfUrl(`u === ${json(word)}`));
		const lines = [`${indent}switch (${known ? "c.req.url" : this.nullable(subject!)}) {`];
		const exits: Set<string>[] = [];
		const branch = (body: Block): string[] => {
			const before = new Set(this.known);
			const code = this.block(body, depth + 2);
			if (!endsTask(body)) exits.push(this.known);
			this.known = before;
			return code;
		};
		for (const { words, body } of cases) {
			if (words.length === 0) continue;
			for (const word of words) lines.push(`${indent}\tcase ${json(word)}:`);
			lines.push(`${indent}\t{`, ...branch(body), `${indent}\t}`, `${indent}\tbreak;`);
		}
		if (statement.otherwise !== null)
			lines.push(`${indent}\tdefault: {`, ...branch(statement.otherwise), `${indent}\t}`);
		else exits.push(this.known);
		this.known = intersection(exits);
		lines.push(`${indent}}`);
		return lines;
	}

	private setVariable(statement: SetVariable): string {
		const { variable, operator } = statement;
		const target = `c.${variable.member}`;
		let value: string;
		if (variable.type === "STRING") {
			value = this.text(
				operator === "="
					? statement.value
					: {
							kind: "concatenation",
							type: "STRINGS",
							parts: [{ kind: "variable", type: "STRINGS", variable }, ...partsOf(statement.value)],
						},
			);
			if (isOfStartLine(variable.name)) value = `S.notEmpty(${json(variable.name)}, ${value})`;
		} else {
			value = this.value(statement.value);
			if (operator !== "=") {
				const sign = operator.charAt(0);
				value =
					variable.type === "INT" && sign === "/"
						? `S.divide(${target}, ${value})`
						: `${target} ${sign} (${value})`;
			}
		}
		if (variable.clamped) value = `Math.max(0, ${value})`;
		if (isParticularWrite(variable)) value = `(c.particular = true, ${value})`;
		if (!isSteadyWrite(variable)) value = `(c.varied = true, ${value})`;
		if (variable.setter !== null) {
			const dot = target.lastIndexOf(".");
			return `${target.slice(0, dot)}.${variable.setter}(S.status(${value}, ${json(variable.name)}));`;
		}
		if (variable.member === "beresp.storageHint")
			return `c.beresp.storage = H.stevedore(${value}) ?? c.beresp.storage;`;
		return `${target} = ${value};`;
	}

	private return(action: Action["kind"], values: readonly Expression[], label: string | null): string {
		switch (action) {
			case "synth":
			case "error": {
				const [status, reason] = values;
				if (status === undefined)
					return `return ${this.action({ kind: "error", status: 503, reason: null })};`;
				if (
					status.kind === "number" &&
					status.value >= 100 &&
					status.value <= 65535 &&
					status.value % 1000 >= 100 &&
					(reason === undefined || reason.kind === "string")
				)
					return `return ${this.action({
						kind: action,
						status: status.value,
						reason: reason === undefined ? null : reason.value,
					})};`;
				// upper() and lower() of an empty text are none.
				const none = reason?.kind === "type-method" ? " || null" : "";
				const text = reason === undefined ? "null" : `S.reason(${this.nullable(reason)}${none})`;
				return `return { kind: ${json(action)}, status: S.status(${this.value(status)}, ${json(`return(${action}()) status code`)}), reason: ${text} };`;
			}
			case "pass": {
				const [duration] = values;
				if (duration === undefined) return `return ${this.action({ kind: "pass", durationSeconds: null })};`;
				return `return { kind: "pass", durationSeconds: Math.max(0, ${this.value(duration)}) };`;
			}
			case "fail": {
				const [message] = values;
				if (message === undefined)
					return `return ${this.action({ kind: "fail", message: "Failed from VCL" })};`;
				return `return { kind: "fail", message: ${this.text(message)} };`;
			}
			case "vcl":
				return `return ${this.action({ kind: "vcl", label: label! })};`;
			default:
				return `return ${this.action({ kind: action })};`;
		}
	}

	private action(action: Action): string {
		const text = json(action);
		let index = this.actions.findIndex((each) => json(each) === text);
		if (index < 0) index = this.actions.push(Object.freeze(action)) - 1;
		return `K${index}`;
	}

	// ── expressions ──

	private headerText(name: HeaderName): Expression {
		return {
			kind: "text-of",
			type: "STRINGS",
			from: "HEADER",
			value: { kind: "header", type: "HEADER", name },
		};
	}

	/** A header's new value: checked unless it is made of parts that cannot hold an illegal byte. */
	private checkedHeader(name: HeaderName, value: Expression): string {
		const text = this.text(value);
		return partsOf(value).every(isCleanText) ? text : `S.headerValue(${json(name.written)}, ${text})`;
	}

	/** JavaScript for a text that is never null. */
	text(value: Expression): string {
		const parts = partsOf(value);
		if (parts.length === 1) {
			const [part] = parts as [Expression];
			return mayBeNull(part) ? `(${this.nullable(part)} ?? "")` : this.nullable(part);
		}
		return parts
			.map((part) => {
				const text = this.nullable(part);
				return mayBeNull(part) ? `(${text} ?? "")` : text;
			})
			.join(" + ");
	}

	/** JavaScript for a text that may be null; a concatenation never is. */
	private nullable(value: Expression): string {
		if (value.kind === "concatenation") return `(${this.text(value)})`;
		return this.value(value);
	}

	/** A condition, and the fields that have been read when it held and when it did not. */
	private condition(value: Expression): {
		readonly code: string;
		readonly whenTrue: Set<string>;
		readonly whenFalse: Set<string>;
	} {
		if (value.kind === "not") {
			const inner = this.condition(value.value);
			return { code: `!(${inner.code})`, whenTrue: inner.whenFalse, whenFalse: inner.whenTrue };
		}
		if (value.kind === "logical") {
			const first = this.value(value.operands[0]!);
			const afterFirst = new Set(this.known);
			const rest = value.operands.slice(1).map((operand) => this.value(operand));
			const afterAll = new Set(this.known);
			const code = [first, ...rest].join(` ${value.operator} `);
			return value.operator === "&&"
				? { code, whenTrue: afterAll, whenFalse: afterFirst }
				: { code, whenTrue: afterFirst, whenFalse: afterAll };
		}
		const code = this.value(value);
		return { code, whenTrue: new Set(this.known), whenFalse: new Set(this.known) };
	}

	private value(value: Expression): string {
		switch (value.kind) {
			case "string":
				return json(value.value);
			case "number":
				// String(-0) has no sign.
				return value.value < 0 || Object.is(value.value, -0) ? `(-${-value.value})` : String(value.value);
			case "boolean":
				return String(value.value);
			case "blob":
				return json(value.bytes);
			case "ip": {
				const index = this.addresses.push(value.address) - 1;
				return `I${index}`;
			}
			case "regex":
				return `R${value.regex}`;
			case "enum":
				return json(value.value);
			case "absent":
				return "undefined";
			case "variable":
				switch (value.variable.name) {
					case "server.hostname":
					case "server.identity":
						return `H.${value.variable.member.slice("host.".length)}`;
					case "req.backend_hint":
					case "bereq.backend":
						return `S.chosen(c.${value.variable.member}, t.defaultBackend)`;
					default: {
						const read = `c.${value.variable.member}`;
						if (isParticularRead(value.variable)) return `(c.particular = true, ${read})`;
						return isSteadyRead(value.variable) ? read : `(c.varied = true, ${read})`;
					}
				}
			case "header":
				return this.readHeader(value.name);
			case "symbol":
				return this.symbol(value.type, value.name);
			case "default":
				return value.type === "BACKEND" ? "t.defaultBackend" : this.symbol("PROBE", "default");
			case "instance":
				return `O[${json(value.name)}]`;
			case "concatenation":
				return `(${this.text(value)})`;
			case "text-of":
				return this.textOf(value.from, value.value);
			case "truth":
				return this.truth(value.value);
			case "not":
				return `!(${this.value(value.value)})`;
			case "logical": {
				const first = this.value(value.operands[0]!);
				const rest = this.aside(() => value.operands.slice(1).map((operand) => this.value(operand)));
				return `(${[first, ...rest].join(` ${value.operator} `)})`;
			}
			case "comparison":
				return this.comparison(value);
			case "text-comparison":
				return this.textComparison(value);
			case "regex-match":
				return `${value.negated ? "!" : ""}${this.regexMatch(value.regex, value.subject)}`;
			case "acl-match": {
				const index = this.acls.findIndex(({ name }) => sameName(name, value.acl));
				const address = this.value(value.address);
				const match = this.acls[index]!.logs
					? `S.aclMatch(c, A${index}, ${address})`
					: `A${index}.match(${address})`;
				return value.negated ? `!${match}` : match;
			}
			case "arithmetic": {
				const left = this.value(value.left);
				const right = this.value(value.right);
				if (value.operator === "%") return `S.remainder(${left}, ${right})`;
				if (value.operator === "/" && value.type === "INT") return `S.divide(${left}, ${right})`;
				// There is no integer -0, and -0 + 0 is 0.
				if (value.operator === "*" && value.type === "INT") return `(${left} * ${right} + 0)`;
				return `(${left} ${value.operator} ${right})`;
			}
			case "minus":
				return value.type === "INT"
					? `(0 - (${this.value(value.value)}))`
					: `(-(${this.value(value.value)}))`;
			case "regsub": {
				const call = value.all ? "regsuball" : "regsub";
				const subject = this.text(value.subject);
				if (value.replacement.kind === "string") {
					const index = this.templates.push(parseTemplate(value.replacement.value)) - 1;
					return `S.${call}(R${value.regex}, ${subject}, T${index})`;
				}
				return `S.substitute(R${value.regex}, ${value.all}, ${subject}, ${this.text(value.replacement)})`;
			}
			case "type-method":
				switch (value.method) {
					case "upper":
						return `S.upperCase(${this.text(value.value)})`;
					case "lower":
						return `S.lowerCase(${this.text(value.value)})`;
					case "resolve":
						return `(c.varied = true, ${this.value(value.value)}?.resolve(c) ?? null)`;
					case "free_space":
						return `(c.varied = true, ${this.value(value.value)}?.freeSpaceBytes ?? 0)`;
					case "used_space":
						return `(c.varied = true, ${this.value(value.value)}?.usedSpaceBytes ?? 0)`;
					case "happy":
						return `(${this.value(value.value)}?.happy ?? false)`;
					default:
						return value.method satisfies never;
				}
			case "vmod-call": {
				const words = this.arguments(value.callee, value.arguments);
				const self = value.instance === null ? ["c", "H"] : [`O[${json(value.instance)}]`, "c"];
				const call = `${this.function(value.callee)}(${[...self, ...words].join(", ")})`;
				const code = value.callee.waits ? `(yield ${call})` : call;
				const settled =
					isSteadyCall(value.callee) &&
					value.arguments.every((each) => each.kind !== "header" || isSteadyHeader(each.name));
				return settled ? code : `(c.varied = true, ${code})`;
			}
			default:
				return value satisfies never;
		}
	}

	/** Plain text by string search; the native expression where the subject cannot be too long for it. */
	private regexMatch(index: number, subject: Expression): string {
		const known = isUrl(subject) && this.knowsOfUrl(this.regexTest(index, "u"));
		return this.regexTest(index, known ? "c.req.url" : this.text(subject));
	}

	private regexTest(index: number, subject: string): string {
		const { plain, native, limitBytes } = this.program.regexes[index]!;
		if (plain !== null)
			return `(${subject}).${plain.kind === "prefix" ? "startsWith" : "includes"}(${json(plain.text)})`;
		if (native === null) return `R${index}.test(${subject})`;
		if (limitBytes === Number.POSITIVE_INFINITY) return `N${index}.test(${subject})`;
		if (subject === "u") return `(u.length <= ${limitBytes} ? N${index} : R${index}).test(u)`;
		return `((x = ${subject}).length <= ${limitBytes} ? N${index}.test(x) : R${index}.test(x))`;
	}

	private symbol(type: string, name: string): string {
		switch (type) {
			case "BACKEND":
				return this.backend(name);
			case "ACL":
				return `A${this.acls.findIndex((each) => sameName(each.name, name))}`;
			case "PROBE":
				return `P${this.program.probes.findIndex((each) => each.name !== null && sameName(each.name, name))}`;
			case "STEVEDORE":
				return `M${this.program.stevedores.findIndex((each) => sameName(`storage.${each}`, name))}`;
			default:
				return functionName(name);
		}
	}

	/** One that is none is no backend to a program: all of them are the same, and have no name. */
	private backend(name: string): string {
		const index = this.program.backends.findIndex((each) => sameName(each.name, name));
		return this.program.backends[index]?.endpoint.kind === "none" ? "null" : `B${index}`;
	}

	private function(callee: VmodFunction): string {
		let index = this.functions.indexOf(callee);
		if (index < 0) index = this.functions.push(callee) - 1;
		return `F${index}`;
	}

	private arguments(callee: VmodFunction, values: readonly Expression[]): string[] {
		return values.map((value, index) => {
			const { type, inParts } = callee.arguments[index]!;
			if (value.kind === "absent") return "undefined";
			if (type === "STRING") return this.nullable(value);
			if (inParts)
				return `[${partsOf(value)
					.map((part) => this.nullable(part))
					.join(", ")}]`;
			if (type === "STRANDS") return this.text(value);
			if (type === "HEADER" && value.kind === "header") {
				this.names(value.name);
				return `{ message: c.${value.name.message}, lower: ${json(value.name.lower)}, written: ${json(value.name.written)} }`;
			}
			return this.value(value);
		});
	}

	private textOf(from: SimpleType, value: Expression): string {
		const inner = this.value(value);
		switch (from) {
			case "HEADER":
				return inner;
			case "INT":
				// What is written, and variables, are within the limits of the type.
				return value.kind === "number" || value.kind === "variable"
					? `String(${inner})`
					: `S.formatInteger(${inner})`;
			case "REAL":
			case "DURATION":
				return `S.formatReal(${inner})`;
			case "BYTES":
				return `S.formatInteger(${inner})`;
			case "TIME":
				return `S.formatTime(${inner})`;
			case "BOOL":
				return `(${inner} ? "true" : "false")`;
			case "IP":
				return `(${inner}?.text ?? null)`;
			case "BACKEND":
				return `(${inner}?.name ?? null)`;
			case "STEVEDORE":
				return `S.storageName(${inner})`;
			case "ACL":
				return `${inner}.name`;
			case "BLOB":
				return `S.blobText(${inner})`;
			default:
				throw new TypeError(`no text form of ${from}`);
		}
	}

	private truth(value: Expression): string {
		switch (value.type) {
			case "STRINGS": {
				const parts = partsOf(value);
				if (parts.some((part) => !mayBeNull(part) && !isCased(part))) return "true";
				const exists = (part: Expression) => `${this.nullable(part)} !== ${isCased(part) ? '""' : "null"}`;
				const first = exists(parts[0]!);
				const rest = this.aside(() => parts.slice(1).map(exists));
				return `(${[first, ...rest].join(" || ")})`;
			}
			case "DURATION":
				return `(${this.value(value)} > 0)`;
			case "INT":
				return isHits(value) ? `(${boundBy(0)}, c.obj.hits !== 0)` : `(${this.value(value)} !== 0)`;
			default:
				return `(${this.value(value)} !== null)`;
		}
	}

	private comparison(value: Extract<Expression, { kind: "comparison" }>): string {
		const hits = hitsAgainst(value);
		if (hits !== null) return hits;
		const left = this.value(value.left);
		const right = this.value(value.right);
		const equality = value.operator === "==" ? "===" : value.operator === "!=" ? "!==" : value.operator;
		switch (value.of) {
			case "ip":
				return `${value.operator === "!=" ? "!" : ""}S.sameIp(${left}, ${right})`;
			case "number":
			case "identity":
			case "boolean":
				return `(${left} ${equality} ${right})`;
			default:
				return value.of satisfies never;
		}
	}

	private textComparison(value: Extract<Expression, { kind: "text-comparison" }>): string {
		const { left, right, operator } = value;
		const single = partsOf(left).length === 1 && partsOf(right).length === 1;
		const nulls = single && (mayBeNull(left) || mayBeNull(right));
		const asked = right.kind === "string" && isUrl(left) && (operator === "==" || operator === "!=");
		const known = asked && this.knowsOfUrl(`u === ${json(right.value)}`);
		const a = known ? "c.req.url" : nulls ? this.nullable(left) : this.text(left);
		const b = nulls ? this.nullable(right) : this.text(right);
		const equality = operator === "==" || operator === "!=";
		if (!nulls) {
			const sign = operator === "==" ? "===" : operator === "!=" ? "!==" : operator;
			return `(${a} ${sign} ${b})`;
		}
		if (equality && (!mayBeNull(left) || !mayBeNull(right)))
			return `(${a} ${operator === "==" ? "===" : "!=="} ${b})`;
		if (equality) return `${operator === "!=" ? "!" : ""}S.sameText(${a}, ${b})`;
		return `(S.compareText(${a}, ${b}) ${operator} 0)`;
	}
}

/** The last statement leaves the sub, so nothing after the block is reached through it. */
function endsTask(block: Block): boolean {
	const last = block.statements.at(-1);
	switch (last?.kind) {
		case "return":
		case "leave":
			return true;
		case "block":
			return endsTask(last);
		case "if":
			return (
				last.otherwise !== null &&
				endsTask(last.otherwise) &&
				last.branches.every(({ body }) => endsTask(body))
			);
		default:
			return false;
	}
}

function intersection(sets: readonly Set<string>[]): Set<string> {
	const [first, ...rest] = sets;
	return new Set([...(first ?? [])].filter((key) => rest.every((set) => set.has(key))));
}

const sameName = (left: string, right: string) => left.toLowerCase() === right.toLowerCase();

/** req.url by itself. */
function isUrl(value: Expression): boolean {
	const [part, ...more] = partsOf(value);
	return more.length === 0 && part?.kind === "variable" && part.variable.name === "req.url";
}

/** A part of a request's or an answer's first line. */
const isOfStartLine = (name: string) => /\.(?:method|url|proto|reason)$/.test(name);

const isHits = (value: Expression) => value.kind === "variable" && value.variable.name === "obj.hits";
/** Every number of hits above `limit` compares alike. */
const boundBy = (limit: number) => `c.hitsBound = Math.max(c.hitsBound, ${limit})`;

/** obj.hits beside a constant; null for any other comparison. */
function hitsAgainst({ left, right, operator }: Extract<Expression, { kind: "comparison" }>): string | null {
	if (!isHits(left) || right.kind !== "number") return null;
	const sign = operator === "==" ? "===" : operator === "!=" ? "!==" : operator;
	return `(${boundBy(right.value)}, c.obj.hits ${sign} ${right.value})`;
}

/** A read that changes nothing and gives the same answer twice. */
function isPlainRead(value: Expression): boolean {
	return value.kind === "variable" || (value.kind === "text-of" && value.from === "HEADER");
}

/** upper() and lower(): what has no letters at all is no text to a condition, as what is unset. */
const isCased = (value: Expression) => value.kind === "type-method" && value.type === "STRINGS";

/** One element of a text that is null when something is not set. */
function mayBeNull(value: Expression): boolean {
	switch (value.kind) {
		case "text-of":
			return (
				value.from === "HEADER" ||
				value.from === "BACKEND" ||
				value.from === "STEVEDORE" ||
				value.from === "IP"
			);
		case "vmod-call":
			return true;
		case "variable":
			return value.variable.member.includes("?.") || value.variable.member === "beresp.storageHint";
		default:
			return false;
	}
}

/** Text that no illegal byte can come from: literals (looked at here), other headers, numbers, dates. */
function isCleanText(value: Expression): boolean {
	switch (value.kind) {
		case "string":
			return isHeaderSafe(value.value);
		case "text-of":
			return true;
		case "variable":
			return value.variable.name !== "client.identity";
		case "regsub":
			return (
				value.replacement.kind === "string" &&
				isHeaderSafe(value.replacement.value) &&
				partsOf(value.subject).every(isCleanText)
			);
		case "type-method":
			return value.type === "STRINGS" && partsOf(value.value).every(isCleanText);
		default:
			return false;
	}
}
