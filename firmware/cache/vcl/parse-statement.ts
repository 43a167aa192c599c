/** Statements and subroutine bodies. Reference §2 and §4. */
import type { Compilation } from "./compilation.ts";
import { Refused } from "./diagnostic.ts";
import { actionNames, everywhere, methodMask } from "./methods.ts";
import { call, expression, whileCalling } from "./parse-expression.ts";
import type { ActionKind } from "./runtime.ts";
import type { VclSymbol } from "./symbol.ts";
import type { Expression, HeaderName } from "./syntax/expression.ts";
import type { AssignmentOperator, Block, If, Return, Statement } from "./syntax/statement.ts";
import { tokenName } from "./token.ts";
import type { SimpleType } from "./types.ts";
import type { Variable } from "./variables.ts";

const inHash = methodMask("hash");
const inInit = methodMask("init");
const inMadeUpAnswers = methodMask("synth, b_error");

export function block(c: Compilation): Block {
	c.enter();
	c.skip("{");
	const statements: Statement[] = [];
	while (true) {
		const { token } = c;
		if (token.kind === "}") {
			c.next();
			c.leave();
			return { kind: "block", statements };
		}
		if (token.kind === "{") statements.push(block(c));
		else if (token.kind === "CSRC") inlineC(c);
		else if (token.kind === "EOI") {
			c.diagnostics.append("End of input while in compound statement\n");
			c.stop();
		} else if (token.kind === "ID") statements.push(statement(c));
		else c.diagnostics.fail("Expected an action, 'if', '{' or '}'\n", token);
	}
}

export const inlineCProblem = "Inline-C not allowed\n";

export function inlineC(c: Compilation): never {
	c.diagnostics.hint =
		"Inline C cannot run here: say it in VCL or with a vmod function (std, cookie, header ...).";
	return c.diagnostics.fail(inlineCProblem, c.token);
}

function statement(c: Compilation): Statement {
	const first = c.token;
	let symbol: VclSymbol;
	try {
		symbol = c.lookup(null, "partial");
	} catch (error) {
		if (error instanceof Refused) c.diagnostics.at("Symbol not found.\n", c.token);
		throw error;
	}
	switch (symbol.kind) {
		case "action":
			break;
		case "func":
			if ("callee" in symbol) {
				const { callee } = symbol;
				const value = whileCalling(c, first, () => call(c, callee, null));
				c.skip(";");
				return { kind: "evaluate", expression: value };
			}
			return c.diagnostics.fail("Symbol cannot be used here.\n", c.token);
		case "instance": {
			c.expect(".");
			c.position = first.index;
			const value = expressionStatement(c);
			c.skip(";");
			return { kind: "evaluate", expression: value };
		}
		default:
			return c.diagnostics.fail("Symbol cannot be used here.\n", c.token);
	}
	switch (symbol.action) {
		case "ban":
			return banStatement(c);
		case "call":
			return callStatement(c);
		case "hash_data":
			c.useAction(inHash, first);
			return parenthesised(c, "STRANDS", (value) => ({ kind: "hash-data", value }));
		case "if":
			return ifStatement(c);
		case "new":
			c.useAction(inInit, first);
			return newStatement(c);
		case "return":
			return returnStatement(c);
		case "set":
			return setStatement(c);
		case "synthetic":
			c.useAction(inMadeUpAnswers, first);
			return parenthesised(c, "STRANDS", (value) => ({ kind: "synthetic", value }));
		case "unset":
			return unsetStatement(c);
		default:
			return symbol.action satisfies never;
	}
}

/** `object.method(…)` as a statement: any result is dropped. */
function expressionStatement(c: Compilation): Expression {
	const symbol = c.lookup(null, "partial");
	if (symbol.kind !== "instance") return c.diagnostics.fail("Symbol cannot be used here.\n", c.token);
	c.skip(".");
	const name = c.expect("ID");
	const method = symbol.object.methods.get(name.text);
	if (method === undefined)
		return c.diagnostics.fail(`Unknown property ${tokenName(name)} for type ${symbol.object.name}\n`, name);
	c.next();
	return call(c, method, symbol.name);
}

function parenthesised(c: Compilation, type: SimpleType, make: (value: Expression) => Statement): Statement {
	c.skip("(");
	const value = expression(c, type);
	c.skip(")");
	c.skip(";");
	return make(value);
}

function banStatement(c: Compilation): Statement {
	return parenthesised(c, "STRING", (value) => ({ kind: "ban", expression: value }));
}

function callStatement(c: Compilation): Statement {
	const token = c.expect("ID");
	const value = expression(c, "SUB");
	if (value.kind !== "symbol") return c.diagnostics.fail("Expected the name of a subroutine\n", token);
	c.currentSub!.calls.push({ sub: value.name, token });
	c.sub(value.name).referenced ??= token;
	c.skip(";");
	return { kind: "call", sub: value.name };
}

function condition(c: Compilation): Expression {
	c.skip("(");
	const value = expression(c, "BOOL");
	c.skip(")");
	return value;
}

function ifStatement(c: Compilation): If {
	const branches = [{ condition: condition(c), body: block(c) }];
	while (c.isAt("ID")) {
		if (c.isWord("else")) {
			c.next();
			if (c.isAt("{")) return { kind: "if", branches, otherwise: block(c) };
			if (!c.isWord("if")) c.diagnostics.fail("'else' must be followed by 'if' or '{'\n", c.token);
			c.next();
		} else if (c.isWord("elseif") || c.isWord("elsif") || c.isWord("elif")) c.next();
		else break;
		branches.push({ condition: condition(c), body: block(c) });
	}
	return { kind: "if", branches, otherwise: null };
}

/** What an assignment of that operator wants on its right. */
const wanted: {
	readonly [Name in SimpleType]?: { readonly [Operator in AssignmentOperator]?: SimpleType };
} = {
	INT: { "=": "INT", "+=": "INT", "-=": "INT", "*=": "INT", "/=": "INT" },
	TIME: { "=": "TIME", "+=": "DURATION", "-=": "DURATION", "*=": "REAL", "/=": "REAL" },
	DURATION: { "=": "DURATION", "+=": "DURATION", "-=": "DURATION", "*=": "REAL", "/=": "REAL" },
	STRING: { "=": "STRANDS", "+=": "STRANDS" },
	HEADER: { "=": "STRANDS", "+=": "STRANDS" },
	BODY: { "=": "BODY", "+=": "BODY" },
};

/** What `set` and `unset` name. A storage is one as well, which is only read. */
function variableSymbol(c: Compilation): { readonly variable: Variable; readonly header: HeaderName | null } {
	c.expect("ID");
	const { position } = c;
	const named = c.lookup(null, "partial-quiet");
	if (named?.kind === "stevedore" && !c.isAt("."))
		return { variable: storageVariable(named.name), header: null };
	c.position = position;
	const symbol = c.lookup("var", "existing");
	return symbol.kind === "var" ? symbol : c.stop();
}

const storageVariable = (name: string): Variable => ({
	name,
	type: "STEVEDORE",
	lowest: 40,
	highest: 41,
	read: everywhere,
	set: 0,
	unset: 0,
	member: "",
	setter: null,
	clamped: false,
});

function setStatement(c: Compilation): Statement {
	const first = c.expect("ID");
	const { variable, header } = variableSymbol(c);
	c.use("write", variable, first, c.token);
	const known = wanted[variable.type] ?? { "=": variable.type };
	const operator = c.token.kind as AssignmentOperator;
	const type = Object.hasOwn(known, operator) ? known[operator]! : null;
	if (type === null) c.expect("=");
	c.next();
	const value = expression(c, type!);
	c.skip(";");
	if (header !== null) return { kind: "set-header", name: header, operator: operator as "=" | "+=", value };
	if (variable.type === "BODY")
		return { kind: "set-body", message: variable.member, operator: operator as "=" | "+=", value };
	return { kind: "set-variable", variable, operator, value };
}

function unsetStatement(c: Compilation): Statement {
	const first = c.expect("ID");
	const { variable, header } = variableSymbol(c);
	if (variable.unset === 0) {
		c.diagnostics.between("", first, c.token);
		c.diagnostics.append("Variable cannot be unset.\n");
		c.stop();
	}
	c.use("unset", variable, first, c.token);
	c.skip(";");
	return header !== null
		? { kind: "unset-header", name: header }
		: { kind: "unset-body", message: variable.member };
}

function newStatement(c: Compilation): Statement {
	c.expectName("VCL object");
	const nameToken = c.token;
	// The object's type is known only after the `=`; the name is checked first, as the messages expect.
	const known = c.find(nameToken.text, null);
	if (known !== undefined && known.defined !== null) {
		c.diagnostics.at(
			known.kind === "instance"
				? `Instance '${nameToken.text}' redefined.\n`
				: `Name '${nameToken.text}' already defined.\n`,
			nameToken,
		);
		c.diagnostics.fail("First definition:\n", known.defined);
	}
	if (known !== undefined)
		c.diagnostics.fail(`Name ${nameToken.text} must have type '${known.kind}'.\n`, nameToken);
	if (/^vcl_/i.test(nameToken.text) && c.syntax >= 41)
		c.diagnostics.fail("Symbols named 'vcl_*' are reserved.\nAt:", nameToken);
	c.next();
	c.skip("=");
	c.expect("ID");
	const symbol = c.lookup("object", "existing");
	if (symbol.kind !== "object") return c.stop();
	const { object } = symbol;
	const instance: VclSymbol = { ...c.base(nameToken.text), kind: "instance", object };
	instance.defined = nameToken;
	let values: readonly Expression[];
	try {
		const value = call(c, object.constructor_, null);
		values = value.kind === "vmod-call" ? value.arguments : [];
	} catch (error) {
		if (error instanceof Refused) c.diagnostics.append("While compiling function call:\n");
		throw error;
	}
	c.skip(";");
	c.add(instance);
	c.instances.push(instance.name);
	return {
		kind: "new",
		name: instance.name,
		object: object.name,
		callee: object.constructor_,
		arguments: values,
	};
}

const actionWords: ReadonlySet<string> = new Set(actionNames);

function returnStatement(c: Compilation): Statement {
	const sub = c.currentSub!;
	if (c.token.kind === ";" && !/^vcl_/i.test(sub.name)) {
		c.next();
		return { kind: "leave" };
	}
	c.skip("(");
	const word = c.expect("ID");
	if (!actionWords.has(word.text)) c.diagnostics.fail("Expected return action name.\n", word);
	const action = word.text as ActionKind;
	if (!sub.returns.has(action)) sub.returns.set(action, word);
	c.next();
	let values: readonly Expression[] = [];
	let label: string | null = null;
	if (c.token.kind === "(") {
		switch (action) {
			case "synth":
			case "error": {
				c.next();
				const status = expression(c, "INT");
				values = [status];
				if (c.isAt(",")) {
					c.next();
					values = [status, expression(c, "STRING")];
				}
				c.skip(")");
				break;
			}
			case "pass":
				c.next();
				values = [expression(c, "DURATION")];
				c.skip(")");
				break;
			case "fail":
				c.next();
				values = [expression(c, "STRING")];
				c.skip(")");
				break;
			case "vcl": {
				c.next();
				c.expect("ID");
				const symbol = c.lookup("vcl", "existing");
				label = symbol.name;
				if (!c.usedLabels.includes(label)) c.usedLabels.push(label);
				c.skip(")");
				break;
			}
			default:
				c.diagnostics.fail("Arguments not allowed.\n", c.token);
		}
	} else if (action === "synth" || action === "vcl") c.diagnostics.fail("Missing argument.\n", c.token);
	c.skip(")");
	c.skip(";");
	const statement: Return = { kind: "return", action, arguments: values, label };
	return statement;
}
