/** What the generated code calls besides the runtime's records: comparisons with null, checks, text forms. */
import type { CompiledAcl } from "./acl.ts";
import { formatInteger, formatReal, formatTime, storageName } from "./format.ts";
import type { Matcher } from "./regex/regex.ts";
import { parseTemplate, regsub, regsuball } from "./regsub.ts";
import { type Director, type IpAddress, type VclContext, VclFailure } from "./runtime.ts";

/** Byte order; unset compares as greater than everything, itself included (VRT_strcmp). */
export function compareText(left: string | null, right: string | null): number {
	if (left === null || right === null) return 1;
	return left < right ? -1 : left > right ? 1 : 0;
}

export function sameText(left: string | null, right: string | null): boolean {
	return left !== null && left === right;
}

export function sameIp(left: IpAddress, right: IpAddress): boolean {
	if (left === right) return true;
	if (left.bytes.length !== right.bytes.length) return false;
	for (let index = 0; index < left.bytes.length; index++)
		if (left.bytes[index] !== right.bytes[index]) return false;
	return true;
}

/** RFC 9110 §5.5: what a field value may hold. */
const illegalInHeader = /[\x00-\x08\x0a-\x1f\x7f]/;

export function isHeaderSafe(value: string): boolean {
	return !illegalInHeader.test(value);
}

/** The value, checked; an illegal byte is a VCL failure. */
export function headerValue(name: string, value: string): string {
	if (illegalInHeader.test(value)) throw new VclFailure(`Bad header ${name}: ${printable(value)}`);
	return value;
}

/** The reason of synth() or error(): null is the usual one, "" is none. */
export function reason(value: string | null): string | null {
	return value === null ? null : headerValue("reason", value);
}

/** A start line has no empty parts: a VCL failure. */
export function notEmpty(name: string, value: string): string {
	if (value === "") throw new VclFailure(`Setting ${name} to empty string`);
	return value;
}

function printable(value: string): string {
	return value.replace(/[\x00-\x1f\x7f]/g, (character) => {
		if (character === "\n") return "\\n";
		if (character === "\r") return "\\r";
		return `%${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
	});
}

/** `what`: who is given the status, such as "resp.status" or "return(synth()) status code". */
export function status(value: number, what: string): number {
	if (value < 0) throw new VclFailure(`${what} (${value}) is negative`);
	if (value > 65535) throw new VclFailure(`${what} (${value}) > 65535`);
	if (value % 1000 < 100) throw new VclFailure(`illegal ${what} (${value}) (..0##)`);
	return value;
}

/** Of integers, which know no -0: `+ 0` makes it 0. */
export function divide(left: number, right: number): number {
	if (right === 0) throw new VclFailure("Division by zero");
	return Math.trunc(left / right) + 0;
}

export function remainder(left: number, right: number): number {
	if (right === 0) throw new VclFailure("Division by zero");
	return (left % right) + 0;
}

export function aclMatch(context: VclContext, acl: CompiledAcl, address: IpAddress): boolean {
	const { match, rule } = acl.verdict(address);
	context.log(
		"VCL_acl",
		rule === null ? `NO_MATCH ${acl.name}` : `${rule.negated ? "NEG_" : ""}MATCH ${acl.name} ${rule.written}`,
	);
	return match;
}

export function synthetic(context: VclContext, text: string): void {
	if (context.method === "vcl_backend_error") context.beresp.addBody(text);
	else context.resp.addBody(text);
}

/** The body or header text of a ban, logged when it is refused. */
export function ban(context: VclContext, expression: string | null): void {
	const error = expression === null ? "Null argument" : context.ban(expression);
	if (error !== null) context.log("VCL_Error", `ban(): ${error}`);
}

export function substitute(matcher: Matcher, all: boolean, subject: string, replacement: string): string {
	return (all ? regsuball : regsub)(matcher, subject, parseTemplate(replacement));
}

/** RFC 9110 says nothing of characters here: only ASCII letters change (C locale). */
export function lowerCase(text: string): string {
	return /[A-Z]/.test(text) ? text.replace(/[A-Z]+/g, (run) => run.toLowerCase()) : text;
}

export function upperCase(text: string): string {
	return text.replace(/[a-z]+/g, (run) => run.toUpperCase());
}

/** `:base64:` */
export function blobText(bytes: string): string {
	return `:${btoa(bytes)}:`;
}

/** A backend that VCL has chosen, which may be none; the default one until then. */
export const chosen = (backend: Director | null | undefined, fallback: Director | null): Director | null =>
	backend === undefined ? fallback : backend;

export const support = {
	compareText,
	sameText,
	sameIp,
	headerValue,
	reason,
	notEmpty,
	status,
	divide,
	remainder,
	aclMatch,
	synthetic,
	ban,
	substitute,
	regsub,
	regsuball,
	lowerCase,
	upperCase,
	blobText,
	chosen,
	formatReal,
	storageName,
	formatInteger,
	formatTime,
	VclFailure,
} as const;

export type Support = typeof support;
