/** `acl NAME { … }`. Reference §7.3. */
import { formatAddress } from "../../wire/ip.ts";
import { type AclRule, keyOf, maskBytes } from "./acl.ts";
import { literalBytes, resolveHost } from "./address.ts";
import type { Compilation } from "./compilation.ts";
import type { Token } from "./token.ts";

interface Flags {
	pedantic: boolean;
	logs: boolean;
}

interface Entry {
	readonly negated: boolean;
	readonly optional: boolean;
	readonly address: Token;
	/** Null: the whole address. */
	readonly mask: { readonly token: Token; readonly length: number } | null;
	readonly host: string;
	readonly written: string;
}

interface Collected {
	readonly rule: AclRule;
	readonly token: Token;
}

export function parseAcl(c: Compilation): void {
	c.next();
	c.expectName("ACL");
	const symbol = c.declare("acl", (name) => ({ ...c.base(name), kind: "acl" }));
	c.next();
	const flags: Flags = { pedantic: true, logs: false };
	while (c.token.kind === "+" || c.token.kind === "-") {
		const on = c.flag("Valid ACL flags are `log` and `table`:\n");
		const flag = c.expect("ID");
		if (flag.text === "log") flags.logs = on;
		else if (flag.text === "pedantic") flags.pedantic = on;
		// `table` chooses how the C code is laid out; there is nothing to choose here.
		else if (flag.text !== "table") c.diagnostics.fail("Unknown ACL flag:\n", flag);
		c.next();
	}
	c.skip("{");
	const rules = new Map<string, Collected>();
	while (c.token.kind !== "}") {
		addEntry(c, parseEntry(c), flags, rules);
		c.skip(";");
	}
	c.skip("}");
	c.acls.push({
		name: symbol.name,
		logs: flags.logs,
		rules: [...rules.values()].map(({ rule }) => rule),
	});
}

function parseEntry(c: Compilation): Entry {
	const first = c.token;
	let negated = false;
	let optional = false;
	if (c.token.kind === "!") {
		negated = true;
		c.next();
	}
	if (c.token.kind === "(") {
		optional = true;
		c.next();
	}
	if (!negated && c.token.kind === "!") {
		negated = true;
		c.next();
	}
	const address = c.expect("CSTR");
	c.next();
	let host = address.value;
	let mask: Entry["mask"] = null;
	const slash = host.indexOf("/");
	if (slash >= 0) {
		const digits = host.slice(slash + 1);
		host = host.slice(0, slash);
		if (!/^\d{1,9}$/.test(digits)) c.diagnostics.fail(".../mask is not numeric.\n", address);
		if (c.token.kind === "/") c.diagnostics.fail("/mask only allowed once.\n", c.token);
		mask = { token: address, length: Number(digits) };
	} else if (c.token.kind === "/") {
		c.next();
		const token = c.expect("CNUM");
		mask = { token, length: Number(token.text) };
		c.next();
	}
	const written = c.tokens
		.slice(first.index, c.token.index)
		.filter(({ kind }) => kind !== "!" && kind !== "(")
		.map(({ text }) => text)
		.join("");
	if (optional) c.skip(")");
	return { negated, optional, address, mask, host, written };
}

/** "10" is 10.0.0.0/8 and "192.168" is 192.168.0.0/16, as routers write networks. */
function networkNotation(host: string): { readonly bytes: Uint8Array; readonly length: number } | null {
	const parts = host.split(".");
	if (parts.length > 4 || !parts.every((part) => /^\d{1,9}$/.test(part) && Number(part) < 256)) return null;
	const bytes = new Uint8Array(4);
	parts.forEach((part, index) => {
		bytes[index] = Number(part);
	});
	return { bytes, length: 8 * parts.length };
}

function addEntry(c: Compilation, entry: Entry, flags: Flags, rules: Map<string, Collected>): void {
	const network = networkNotation(entry.host);
	if (network !== null) {
		addRule(c, entry, network.bytes, entry.mask?.length ?? network.length, flags, rules);
		return;
	}
	const resolution = resolveHost(c, entry.host);
	if (!resolution.ok || resolution.addresses.length === 0) {
		const reason = resolution.ok ? "Name or service not known" : resolution.error;
		if (!entry.optional) c.diagnostics.fail(`DNS lookup(${entry.host}): ${reason}\n`, entry.address);
		c.diagnostics.append(`Warning: ${entry.host} ignored\n  -- ${reason}\n`);
		return;
	}
	const addresses = resolution.addresses.map((text) => literalBytes(text)!);
	const families = new Set(addresses.map(({ length }) => length));
	if (entry.mask !== null && families.size > 1)
		c.diagnostics.fail(
			`Mask (/${entry.mask.length}) specified, but string resolves to both IPv4 and IPv6 addresses.\n`,
			entry.mask.token,
		);
	for (const bytes of addresses)
		addRule(c, entry, bytes, entry.mask?.length ?? bytes.length * 8, flags, rules);
}

function addRule(
	c: Compilation,
	entry: Entry,
	bytes: Uint8Array,
	length: number,
	flags: Flags,
	rules: Map<string, Collected>,
): void {
	if (length > bytes.length * 8)
		c.diagnostics.fail(
			`Too wide mask (/${length}) for IPv${bytes.length === 4 ? 4 : 6} address\n`,
			entry.mask?.token ?? entry.address,
		);
	const masked = maskBytes(bytes, length);
	const fixed = masked.some((byte, index) => byte !== bytes[index])
		? `${formatAddress(masked).replace(/^::ffff:(?=\d+\.)/, "")}/${length}`
		: null;
	if (fixed !== null) {
		if (flags.pedantic) {
			c.diagnostics.hint = `The address has bits outside its mask: write the network (${fixed}), or the single address without a mask. \`acl NAME -pedantic {...}\` rounds by itself.`;
			c.diagnostics.fail(`Non-zero bits in masked part, (maybe use ${fixed} ?)\n`, entry.address);
		}
		c.diagnostics.at(`Non-zero bits in masked part, changed to ${fixed}\n`, entry.address);
		c.diagnostics.warned();
	}
	const key = `${masked.length}/${length}/${keyOf(masked, length)}`;
	const known = rules.get(key);
	if (known !== undefined) {
		if (known.rule.negated === entry.negated) return;
		c.diagnostics.at("Conflicting ACL entries:\n", known.token);
		c.diagnostics.fail("vs:\n", entry.address);
	}
	rules.set(key, {
		rule: {
			bytes: masked,
			prefixLength: length,
			negated: entry.negated,
			written: entry.written + (fixed === null ? "" : ` fixed: ${fixed}`),
		},
		token: entry.address,
	});
}
