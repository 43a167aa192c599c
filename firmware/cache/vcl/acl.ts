/**
 * Access control lists. The longest matching prefix decides, and no match is false; address family is part of the
 * address. Compiled to one hash table per prefix length in use, longest first: a look-up is a few integer operations.
 */
import type { IpAddress } from "./runtime.ts";

export interface AclRule {
	/** Host bits are zero. */
	readonly bytes: Uint8Array;
	readonly prefixLength: number;
	readonly negated: boolean;
	/** As written, for the log: `"10.0.0.0"/8`. */
	readonly written: string;
}

export interface AclVerdict {
	readonly match: boolean;
	/** Null when no rule matched. */
	readonly rule: AclRule | null;
}

export interface CompiledAcl {
	readonly name: string;
	readonly logs: boolean;
	match(address: IpAddress): boolean;
	/** As `match`, with the rule that decided. */
	verdict(address: IpAddress): AclVerdict;
}

/** Length in bytes of an address and the rules of one prefix length. */
interface Level {
	readonly prefixLength: number;
	readonly rules: ReadonlyMap<number | string, AclRule>;
}

const noMatch: AclVerdict = { match: false, rule: null };

export function compileAcl(name: string, logs: boolean, rules: readonly AclRule[]): CompiledAcl {
	const levels4 = levelsOf(rules.filter(({ bytes }) => bytes.length === 4));
	const levels6 = levelsOf(rules.filter(({ bytes }) => bytes.length === 16));
	const find = (bytes: Uint8Array): AclRule | undefined => {
		if (bytes.length === 4) {
			const address = word(bytes, 0);
			for (const level of levels4) {
				const rule = level.rules.get(maskedWord(address, level.prefixLength));
				if (rule !== undefined) return rule;
			}
		} else
			for (const level of levels6) {
				const rule = level.rules.get(maskedText(bytes, level.prefixLength));
				if (rule !== undefined) return rule;
			}
		return undefined;
	};
	return {
		name,
		logs,
		match(address) {
			const rule = find(address.bytes);
			return rule !== undefined && !rule.negated;
		},
		verdict(address) {
			const rule = find(address.bytes);
			return rule === undefined ? noMatch : { match: !rule.negated, rule };
		},
	};
}

function levelsOf(rules: readonly AclRule[]): readonly Level[] {
	const lengths = [...new Set(rules.map(({ prefixLength }) => prefixLength))].sort((a, b) => b - a);
	return lengths.map((prefixLength) => ({
		prefixLength,
		rules: new Map(
			rules
				.filter((rule) => rule.prefixLength === prefixLength)
				.map((rule) => [keyOf(rule.bytes, prefixLength), rule]),
		),
	}));
}

/** Rules of one key are one rule: same family, prefix length and network. */
export function keyOf(bytes: Uint8Array, prefixLength: number): number | string {
	return bytes.length === 4 ? maskedWord(word(bytes, 0), prefixLength) : maskedText(bytes, prefixLength);
}

function word(bytes: Uint8Array, at: number): number {
	return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

function maskedWord(address: number, prefixLength: number): number {
	return prefixLength === 0 ? 0 : address & (-1 << (32 - prefixLength));
}

function maskedText(bytes: Uint8Array, prefixLength: number): string {
	const masked = maskBytes(bytes, prefixLength);
	return String.fromCharCode(...masked);
}

/** The network of that prefix length. */
export function maskBytes(bytes: Uint8Array, prefixLength: number): Uint8Array {
	return bytes.map((byte, index) => {
		const bits = Math.min(8, Math.max(0, prefixLength - index * 8));
		return byte & (0xff00 >> bits) & 0xff;
	});
}
