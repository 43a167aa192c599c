/**
 * Expressions: precedence, types and conversions in one descent, as the stock compiler does it, because what a token
 * means depends on the type that is wanted (`10` is a REAL where one is expected; "::1" is an address next to an IP).
 * Reference §2 and §3.
 */
import { acceptAddress } from "./address.ts";
import type { Compilation } from "./compilation.ts";
import { Refused } from "./diagnostic.ts";
import { compileRegex } from "./regex/regex.ts";
import { kindOfType, type VclSymbol } from "./symbol.ts";
import type { ComparisonOperator, Expression } from "./syntax/expression.ts";
import { type Token, tokenName } from "./token.ts";
import {
	additions,
	byteUnits,
	durationUnits,
	identities,
	isStringForm,
	multiplicand,
	ordered,
	type SimpleType,
	type Type,
	typeName,
	withText,
} from "./types.ts";
import type { VmodFunction } from "./vmods/vmod.ts";

/** Parses an expression of the wanted type. String forms come back as STRINGS. */
export function expression(c: Compilation, want: SimpleType): Expression {
	c.enter();
	const first = c.token;
	let result = disjunction(c, isStringForm(want) ? "STRINGS" : want);
	c.leave();
	if (result.type === want) return result;
	if (want === "BODY" && result.type === "BLOB") return result;
	if (isStringForm(want) && result.type !== "STRINGS") {
		// A probe's name is a text anywhere but in a body.
		if (!hasText(result) || (want === "BODY" && result.type === "PROBE")) {
			reportNoText(c, result, first);
			c.diagnostics.failBetween(
				`Expression has type ${typeName(result.type)}, expected ${want === "BODY" ? want : typeName(want)}\n`,
				first,
				c.token,
			);
		}
		result = toText(result);
	}
	if (isStringForm(want) && result.type === "STRINGS") return result;
	if (want === "BOOL") result = toBoolean(result);
	if (result.type !== want)
		c.diagnostics.failBetween(
			`Expression has type ${typeName(result.type)}, expected ${typeName(want)}\n`,
			first,
			c.token,
		);
	return result;
}

/** One operand of that type: what stands right of `~`. */
function exactly(c: Compilation, want: "ACL" | "REGEX"): Expression {
	const first = c.token;
	const value = postfix(c, want);
	if (value.type !== want)
		c.diagnostics.failBetween(
			`Expression has type ${typeName(value.type)}, expected ${want}\n`,
			first,
			c.token,
		);
	return value;
}

function reportNoText(c: Compilation, value: Expression, first: Token): void {
	if (value.kind === "blob") c.diagnostics.between(cannotConvert(value), first, c.token);
	else c.diagnostics.at(cannotConvert(value), c.token);
}

function cannotConvert(value: Expression): string {
	return value.type === "BLOB"
		? "Wrong use of BLOB value.\nBLOBs can only be used as arguments to VMOD functions.\n"
		: `Cannot convert ${typeName(value.type)} to STRING.\n`;
}

function hasText(value: Expression): boolean {
	return value.type === "STRINGS" || value.kind === "symbol" || withText.has(value.type);
}

/** The value as STRINGS; the caller has checked `hasText`. */
export function toText(value: Expression): Expression {
	if (value.type === "STRINGS") return value;
	// A backend that is none has no name.
	if (value.kind === "symbol" && value.type !== "BACKEND")
		return { kind: "string", type: "STRINGS", value: value.name };
	return { kind: "text-of", type: "STRINGS", from: value.type as SimpleType, value };
}

function textOrFail(c: Compilation, value: Expression, first: Token): Expression {
	if (!hasText(value)) {
		reportNoText(c, value, first);
		c.stop();
	}
	return toText(value);
}

function toBoolean(value: Expression): Expression {
	switch (value.type) {
		case "BACKEND":
		case "INT":
		case "DURATION":
		case "STRINGS":
			return { kind: "truth", type: "BOOL", value };
		default:
			return value;
	}
}

function disjunction(c: Compilation, want: Type): Expression {
	return logical(c, want, "||", (wanted) => logical(c, wanted, "&&", (inner) => inversion(c, inner)));
}

function logical(
	c: Compilation,
	want: Type,
	operator: "&&" | "||",
	operand: (want: Type) => Expression,
): Expression {
	const first = c.token;
	const left = operand(want);
	if (c.token.kind !== operator) return left;
	const operands = [toBoolean(left)];
	if (operands[0]!.type !== "BOOL")
		c.diagnostics.failBetween(
			`'${operator}' must be preceeded by BOOL, found ${typeName(left.type)}.\n`,
			first,
			c.token,
		);
	while (c.token.kind === operator) {
		c.next();
		const begin = c.token;
		const right = toBoolean(operand(want));
		if (right.type !== "BOOL")
			c.diagnostics.failBetween(
				`'${operator}' must be followed by BOOL, found ${typeName(right.type)}.\n`,
				begin,
				c.token,
			);
		operands.push(right);
	}
	return { kind: "logical", type: "BOOL", operator, operands };
}

function inversion(c: Compilation, want: Type): Expression {
	if (c.token.kind !== "!") return comparison(c, want);
	const first = c.token;
	c.next();
	const value = toBoolean(comparison(c, want));
	if (value.type !== "BOOL")
		c.diagnostics.failBetween(
			`'!' must be followed by BOOL, found ${typeName(value.type)}.\n`,
			first,
			c.token,
		);
	return { kind: "not", type: "BOOL", value };
}

const comparisons: ReadonlySet<string> = new Set(["==", "!=", "<", ">", "<=", ">=", "~", "!~"]);

function comparison(c: Compilation, want: Type): Expression {
	const left = sum(c, want);
	const operator = c.token;
	if (!comparisons.has(operator.kind)) return left;
	const sign = operator.kind;
	const matching = sign === "~" || sign === "!~";
	if (left.type === "STRINGS" && matching) {
		c.next();
		const regex = exactly(c, "REGEX");
		if (regex.kind !== "regex") return c.stop();
		return {
			kind: "regex-match",
			type: "BOOL",
			negated: sign === "!~",
			subject: left,
			regex: regex.regex,
		};
	}
	if (left.type === "IP" && matching) {
		c.next();
		const acl = exactly(c, "ACL");
		if (acl.kind !== "symbol") return c.diagnostics.fail("Expected the name of an ACL at\n", operator);
		return { kind: "acl-match", type: "BOOL", negated: sign === "!~", address: left, acl: acl.name };
	}
	if (left.type === "STRINGS") {
		c.next();
		const right = sum(c, "STRINGS");
		if (right.type !== "STRINGS") differentTypes(c, left, operator, right);
		return {
			kind: "text-comparison",
			type: "BOOL",
			operator: sign as ComparisonOperator,
			left,
			right,
		};
	}
	const equality = sign === "==" || sign === "!=";
	const of = ordered.has(left.type)
		? "number"
		: identities.has(left.type)
			? "identity"
			: left.type === "BOOL"
				? "boolean"
				: left.type === "IP"
					? "ip"
					: null;
	if (matching || of === null || (of !== "number" && !equality))
		return c.diagnostics.fail(`Operator ${operator.text} not possible on ${typeName(left.type)}\n`, operator);
	c.next();
	const right = sum(c, left.type);
	if (right.type !== left.type) differentTypes(c, left, operator, right);
	return { kind: "comparison", type: "BOOL", of, operator: sign as ComparisonOperator, left, right };
}

function differentTypes(c: Compilation, left: Expression, operator: Token, right: Expression): never {
	return c.diagnostics.fail(
		`Comparison of different types: ${typeName(left.type)} '${operator.text}' ${typeName(right.type)}\n`,
		operator,
	);
}

function sum(c: Compilation, want: Type): Expression {
	const first = c.token;
	let left = product(c, want);
	// The text that this sum joins, while it does; a new array, so that it may grow in place.
	let joined: Expression[] | null = null;
	while (c.token.kind === "+" || c.token.kind === "-") {
		const operator = c.token;
		const sign = operator.kind as "+" | "-";
		const known = additions.some((row) => row.operator === sign && row.left === left.type);
		c.next();
		const rightFirst = c.token;
		const right = product(c, !known && want === "STRINGS" ? "STRINGS" : left.type);
		const row = additions.find(
			(each) => each.operator === sign && each.left === left.type && each.right === right.type,
		);
		if (row !== undefined) left = { kind: "arithmetic", type: row.result, operator: sign, left, right };
		else if (sign === "+" && (left.type === "STRINGS" || want === "STRINGS")) {
			joined ??= [...partsOf(textOrFail(c, left, first))];
			append(joined, textOrFail(c, right, rightFirst));
			left = joined.length === 1 ? joined[0]! : { kind: "concatenation", type: "STRINGS", parts: joined };
		} else
			c.diagnostics.failBetween(
				`${typeName(left.type)} ${operator.text} ${typeName(right.type)} not possible.\n`,
				operator,
				c.token,
			);
	}
	return left;
}

/** Adds a text to others; neighbouring literals become one, so that "a" + "b" stays a single element. */
function append(parts: Expression[], text: Expression): void {
	for (const part of partsOf(text)) {
		const last = parts.at(-1);
		if (last?.kind === "string" && part.kind === "string")
			parts[parts.length - 1] = { kind: "string", type: "STRINGS", value: last.value + part.value };
		else parts.push(part);
	}
}

/** The elements of a text; one element may be null at run time, a concatenation never is. */
export function partsOf(value: Expression): readonly Expression[] {
	return value.kind === "concatenation" ? value.parts : [value];
}

function product(c: Compilation, want: Type): Expression {
	let left = postfix(c, want);
	while (c.token.kind === "*" || c.token.kind === "/" || c.token.kind === "%") {
		const operator = c.token;
		const sign = operator.kind as "*" | "/" | "%";
		const expected: SimpleType | undefined =
			typeof left.type === "object" ? undefined : multiplicand[left.type];
		if (sign === "%" && left.type !== "INT")
			c.diagnostics.fail("Operator % only possible on INT.\n", operator);
		if (expected === undefined)
			return c.diagnostics.fail(`Operator ${sign} not possible on type ${typeName(left.type)}.\n`, operator);
		c.next();
		const right = postfix(c, expected);
		if (right.type !== "INT" && right.type !== expected)
			c.diagnostics.fail(`${typeName(left.type)} ${sign} ${typeName(right.type)} not possible.\n`, operator);
		left = { kind: "arithmetic", type: left.type as SimpleType, operator: sign, left, right };
	}
	return left;
}

function postfix(c: Compilation, want: Type): Expression {
	let value = primary(c, want);
	while (c.token.kind === ".") {
		c.next();
		const name = c.expect("ID");
		value = member(c, value, name, want);
	}
	return value;
}

function member(c: Compilation, value: Expression, name: Token, _want: Type): Expression {
	if (value.kind === "instance") {
		const [symbol] = c.symbols.get(value.name.toLowerCase())!;
		const method = symbol?.kind === "instance" ? symbol.object.methods.get(name.text) : undefined;
		if (method !== undefined) {
			c.next();
			return call(c, method, value.name);
		}
	} else if (value.type === "STRINGS" && (name.text === "upper" || name.text === "lower")) {
		c.next();
		c.skip("(");
		c.skip(")");
		return { kind: "type-method", type: "STRINGS", method: name.text, value };
	} else if (value.type === "BACKEND" && name.text === "resolve") {
		c.next();
		c.skip("(");
		c.skip(")");
		return { kind: "type-method", type: "BACKEND", method: "resolve", value };
	} else if (value.type === "STEVEDORE") {
		if (name.text === "free_space" || name.text === "used_space") {
			c.next();
			return { kind: "type-method", type: "BYTES", method: name.text, value };
		}
		if (name.text === "happy") {
			c.next();
			return { kind: "type-method", type: "BOOL", method: "happy", value };
		}
	}
	const type = typeof value.type === "object" ? value.type.object : value.type;
	return c.diagnostics.fail(`Unknown property ${tokenName(name)} for type ${type}\n`, name);
}

function primary(c: Compilation, want: Type): Expression {
	const { token } = c;
	switch (token.kind) {
		case "(": {
			c.enter();
			c.next();
			const value = disjunction(c, want);
			c.skip(")");
			c.leave();
			return value;
		}
		case "ID":
			return named(c, want);
		case "CSTR":
			return text(c, want);
		case "-":
			if (want !== "INT" && want !== "REAL" && want !== "DURATION" && want !== "STRINGS") break;
			c.next();
			if (c.token.kind === "CNUM" || c.token.kind === "FNUM") return number(c, want, -1);
			{
				c.enter();
				const value = disjunction(c, want);
				c.leave();
				if (value.type !== "INT" && value.type !== "REAL" && value.type !== "DURATION")
					c.diagnostics.failBetween(
						`Operator - not possible on type ${typeName(value.type)}.\n`,
						token,
						c.token,
					);
				return { kind: "minus", type: value.type, value };
			}
		case "CNUM":
		case "FNUM":
			return number(c, want, 1);
		case "CBLOB":
			c.next();
			return { kind: "blob", type: "BLOB", bytes: token.value };
		default:
	}
	return c.diagnostics.fail(
		`Unknown token ${tokenName(token)} when looking for ${typeName(want)}\n\n`,
		token,
	);
}

function text(c: Compilation, want: Type): Expression {
	const { token } = c;
	if (want === "IP") {
		const address = acceptAddress(c, token);
		c.next();
		return { kind: "ip", type: "IP", address };
	}
	if (want === "REGEX") {
		let last = token;
		let pattern = token.value;
		c.next();
		while (c.token.kind === "+") {
			c.next();
			last = c.expect("CSTR");
			pattern += last.value;
			c.next();
		}
		const compiled = compileRegex(pattern);
		if (!compiled.ok) {
			c.diagnostics.hint = compiled.hint;
			c.diagnostics.failBetween(`Regexp compilation error:\n\n${compiled.error}\n\n`, token, last);
		}
		let regex = c.regexes.findIndex((each) => each.pattern === pattern);
		if (regex < 0) regex = c.regexes.push(compiled.regex) - 1;
		return { kind: "regex", type: "REGEX", regex };
	}
	c.next();
	return { kind: "string", type: "STRINGS", value: token.value };
}

function number(c: Compilation, want: Type, sign: 1 | -1): Expression {
	const { token } = c;
	if (want === "BYTES") return { kind: "number", type: "BYTES", value: sign * bytes(c) };
	c.next();
	const value = sign * Number(token.text);
	if (c.token.kind === "ID")
		return { kind: "number", type: "DURATION", value: sign * scaled(token.text, durationUnit(c)) };
	if (want === "REAL" || token.kind === "FNUM") return { kind: "number", type: "REAL", value };
	return { kind: "number", type: "INT", value: value + 0 };
}

/** 0.1 * 60 is not 6 in binary; whole milliseconds are. */
function scaled(digits: string, unitSeconds: number): number {
	return unitSeconds === 0.001 ? Number(digits) / 1000 : Number(digits) * unitSeconds;
}

export function durationUnit(c: Compilation): number {
	const unit = c.expect("ID");
	if (!Object.hasOwn(durationUnits, unit.text))
		c.diagnostics.fail(
			`Unknown duration unit ${tokenName(unit)}\nLegal duration units are 'ms', 's', 'm', 'h', 'd', 'w' and 'y'\n`,
			unit,
		);
	c.next();
	return durationUnits[unit.text]!;
}

/** A duration as the fields of backends and probes want it: number and unit. Seconds. */
export function duration(c: Compilation): number {
	const { token } = c;
	if (token.kind !== "FNUM") c.expect("CNUM");
	c.next();
	return scaled(token.text, durationUnit(c));
}

function bytes(c: Compilation): number {
	const { token } = c;
	if (token.kind !== "FNUM") c.expect("CNUM");
	c.next();
	const unit = c.token;
	// A bare number is accepted where the unit is B.
	if (unit.kind !== "ID")
		c.diagnostics.fail("Expected BYTES unit (B, KB, MB...) got " + tokenName(unit) + "\n", unit);
	if (!Object.hasOwn(byteUnits, unit.text))
		c.diagnostics.fail(
			`Unknown BYTES unit ${tokenName(unit)}.  Legal are 'B', 'KB', 'MB', 'GB' and 'TB'\n`,
			unit,
		);
	c.next();
	return Number(token.text) * byteUnits[unit.text]!;
}

function named(c: Compilation, want: Type): Expression {
	const first = c.token;
	const globalKind = c.peek().kind === "." ? null : kindOfType(want);
	let symbol = c.lookup(null, globalKind === null ? "partial" : "partial-quiet");
	if (symbol === undefined) {
		// A global that is declared later on.
		c.expectName(typeName(want));
		const name = first.text;
		symbol = forward(c, globalKind!, name);
		c.next();
	}
	symbol.referenced ??= first;
	if (symbol.kind === "sub") symbol.sub.referenced ??= first;
	switch (symbol.kind) {
		case "instance":
			return { kind: "instance", type: { object: symbol.object.name }, name: symbol.name };
		case "var": {
			c.use("read", symbol.variable, first, c.tokens[first.index + 1] ?? first);
			if (symbol.header !== null) {
				if (want === "HEADER") return { kind: "header", type: "HEADER", name: symbol.header };
				return {
					kind: "text-of",
					type: "STRINGS",
					from: "HEADER",
					value: { kind: "header", type: "HEADER", name: symbol.header },
				};
			}
			const { type } = symbol.variable;
			return {
				kind: "variable",
				type: type === "STRING" ? "STRINGS" : type,
				variable: symbol.variable,
			};
		}
		case "func": {
			if (!("callee" in symbol)) return whileCalling(c, first, () => builtin(c, symbol, first, want));
			const { callee } = symbol;
			if (callee.result === "VOID") c.diagnostics.fail("Function returns VOID:\n", c.token);
			return whileCalling(c, first, () => call(c, callee, null));
		}
		case "acl":
		case "backend":
		case "probe":
		case "stevedore":
			return {
				kind: "symbol",
				type: symbol.kind.toUpperCase() as "ACL" | "BACKEND" | "PROBE" | "STEVEDORE",
				name: symbol.name,
			};
		case "sub":
			if (want !== "SUB")
				return whileCalling(c, first, () =>
					c.diagnostics.fail(`Symbol '${symbol.name}' can only be used as a SUB expression\n`, c.token),
				);
			return { kind: "symbol", type: "SUB", name: symbol.name };
		case "none":
		case "vmod":
		case "object":
		case "action":
		case "reserved":
		case "vcl":
			c.diagnostics.at(
				`Symbol '${first.text}' type (${symbol.kind}) can not be used in expression.\n`,
				first,
			);
			if (symbol.defined !== null) c.diagnostics.at("That symbol was defined here:\n", symbol.defined);
			return c.stop();
		default:
			return symbol satisfies never;
	}
}

function forward(
	c: Compilation,
	kind: "acl" | "backend" | "probe" | "stevedore" | "sub",
	name: string,
): VclSymbol {
	const base = { ...c.base(name), exempt: false };
	if (kind === "sub") return c.add({ ...base, kind, sub: c.sub(name) });
	return c.add({ ...base, kind });
}

/** What fails in a call is told of with the call. */
export function whileCalling<T>(c: Compilation, first: Token, work: () => T): T {
	try {
		return work();
	} catch (error) {
		if (error instanceof Refused) c.diagnostics.between("While compiling function call:\n\n", first, c.token);
		throw error;
	}
}

function builtin(
	c: Compilation,
	symbol: Extract<VclSymbol, { word: string }>,
	first: Token,
	want: Type,
): Expression {
	switch (symbol.word) {
		case "true":
			return { kind: "boolean", type: "BOOL", value: true };
		case "false":
			return { kind: "boolean", type: "BOOL", value: false };
		case "default":
			if (want === "PROBE") {
				if (c.defaultProbe === null) c.diagnostics.fail("No default probe defined\n", c.token);
				return { kind: "default", type: "PROBE" };
			}
			if (want === "BACKEND") return { kind: "default", type: "BACKEND" };
			return c.diagnostics.fail("Symbol 'default' is a reserved word.\n", first);
		case "regsub":
		case "regsuball": {
			c.skip("(");
			const subject = expression(c, "STRING");
			c.skip(",");
			const regex = expression(c, "REGEX");
			c.skip(",");
			const replacement = expression(c, "STRING");
			c.skip(")");
			if (regex.kind !== "regex") return c.stop();
			return {
				kind: "regsub",
				type: "STRINGS",
				all: symbol.word === "regsuball",
				subject,
				regex: regex.regex,
				replacement,
			};
		}
		default:
			return symbol.word satisfies never;
	}
}

/** Arguments of a vmod function, object or method: positional first, then by name. */
export function call(c: Compilation, callee: VmodFunction, instance: string | null): Expression {
	c.skip("(");
	const given: (Expression | undefined)[] = callee.arguments.map(() => undefined);
	let next = 0;
	for (; next < callee.arguments.length; next++) {
		if (c.isAt(")")) break;
		if (c.isAt("ID") && c.peek().kind === "=") break;
		const argument = callee.arguments[next]!;
		try {
			given[next] = argumentValue(c, callee, next);
		} catch (error) {
			if (error instanceof Refused)
				c.diagnostics.append(
					`Expected argument: ${argument.type} ${argument.name ?? "(unnamed argument)"}\n\n`,
				);
			throw error;
		}
		if (c.isAt(")")) break;
		c.skip(",");
	}
	while (c.isAt("ID")) {
		const name = c.token;
		const index = callee.arguments.findIndex((argument) => argument.name === name.text);
		if (index < 0) c.diagnostics.fail(`Unknown argument '${name.text}'\n`, name);
		if (given[index] !== undefined) c.diagnostics.fail(`Argument '${name.text}' already used\n`, name);
		c.next();
		c.skip("=");
		given[index] = argumentValue(c, callee, index);
		if (c.isAt(")")) break;
		c.skip(",");
	}
	let missing = false;
	const values = callee.arguments.map((argument, index): Expression => {
		const value = given[index];
		if (value !== undefined) return value;
		if (argument.fallback !== undefined) return fallback(argument.type, argument.fallback);
		if (argument.optional) return { kind: "absent", type: "VOID" };
		missing = true;
		c.diagnostics.at(
			argument.name === null ? `Argument ${index + 1} missing\n` : `Argument '${argument.name}' missing\n`,
			c.token,
		);
		return { kind: "absent", type: "VOID" };
	});
	if (missing) c.stop();
	c.skip(")");
	c.waits ||= callee.waits;
	return {
		kind: "vmod-call",
		type: callee.result === "STRING" ? "STRINGS" : callee.result,
		callee,
		instance,
		arguments: values,
	};
}

function argumentValue(c: Compilation, callee: VmodFunction, index: number): Expression {
	const argument = callee.arguments[index]!;
	if (argument.type !== "ENUM") return expression(c, argument.type);
	const word = c.expect("ID");
	if (!argument.words.includes(word.text))
		c.diagnostics.fail(
			`Wrong enum value.  Expected one of:\n${argument.words.map((each) => `\t${each}\n`).join("")}`,
			word,
		);
	c.next();
	return { kind: "enum", type: "ENUM", value: word.text };
}

function fallback(type: SimpleType, value: unknown): Expression {
	switch (type) {
		case "BOOL":
			return { kind: "boolean", type: "BOOL", value: value === true };
		case "ENUM":
			return { kind: "enum", type: "ENUM", value: String(value) };
		case "INT":
		case "REAL":
		case "DURATION":
		case "BYTES":
			return { kind: "number", type, value: Number(value) };
		case "STRING":
			if (typeof value === "string") return { kind: "string", type: "STRINGS", value };
			return { kind: "absent", type: "VOID" };
		default:
			return { kind: "absent", type: "VOID" };
	}
}
