/**
 * What can be judged only when the whole program is read: names that were never declared or never used, actions and
 * variables that the calling method does not allow, and recursion. Reference §2, §4 and §5.
 */
import type { Compilation } from "./compilation.ts";
import { Refused } from "./diagnostic.ts";
import { everywhere, type Method, methodByName } from "./methods.ts";
import type { Program, Sub, Use } from "./syntax/program.ts";

export function check(c: Compilation, program: Program): void {
	checkReferences(c);
	const subs = [...program.subs.values()]
		.filter(({ defined }) => defined !== null)
		.sort((a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1));
	for (const sub of subs) checkActions(c, sub);
	for (const sub of subs) checkUses(c, sub);
	const masks = new Map<Sub, number>();
	for (const sub of subs)
		if (allowedMethods(c, sub, masks) === 0) c.diagnostics.fail("Impossible Subroutine", sub.defined!);
	// Last: whoever tries a few lines without a backend is told of his mistakes in them.
	if (program.defaultBackend === null) {
		c.diagnostics.append("No backends or directors found in VCL program, at least one is necessary.\n");
		c.diagnostics.hint =
			'Add `backend default { .host = "ADDRESS"; .port = "PORT"; }`, or `backend default none;` for a program without one.';
		c.stop();
	}
}

function checkReferences(c: Compilation): void {
	const names = [...c.symbols.keys()].sort();
	for (const name of names)
		for (const symbol of c.symbols.get(name)!) {
			if (symbol.exempt) continue;
			const referenced =
				symbol.kind === "sub" ? (symbol.sub.referenced ?? symbol.referenced) : symbol.referenced;
			if (symbol.kind === "sub" && /^vcl_/i.test(symbol.name)) continue;
			const defined = symbol.kind === "sub" ? symbol.sub.defined : symbol.defined;
			if (defined === null && referenced !== null)
				c.diagnostics.fail(`Undefined ${symbol.kind} ${referenced.text}, first reference:\n`, referenced);
			else if (defined !== null && referenced === null) {
				if (c.settings.unusedIsError)
					c.diagnostics.hint =
						"Use it, delete it, or allow unused declarations with the parameter vcc_err_unref=off.";
				c.diagnostics.at(`Unused ${symbol.kind} ${defined.text}, defined:\n`, defined);
				if (c.settings.unusedIsError) throw new Refused();
				c.diagnostics.warned();
			}
		}
}

function checkActions(c: Compilation, sub: Sub): void {
	const method = methodByName.get(sub.name);
	if (!illegalAction(c, sub, method, new Set(), new Set())) return;
	if (method !== undefined) {
		c.diagnostics.append(`\n...which is the "${method.name}" subroutine\n`);
		c.diagnostics.append(`Legal returns are:${method.returns.map((action) => ` "${action}"`).join("")}\n`);
	}
	throw new Refused();
}

/** Reports the first illegal action below this sub, innermost first; true when there was one. */
function illegalAction(
	c: Compilation,
	sub: Sub,
	method: Method | undefined,
	active: Set<Sub>,
	/** Subs that were found legal for this method: many may call them. */
	legal: Set<Sub>,
): boolean {
	if (legal.has(sub)) return false;
	if (active.has(sub)) {
		c.diagnostics.at("Subroutine recurses on\n", sub.defined!);
		return true;
	}
	const illegal =
		method === undefined ? [] : [...sub.returns].filter(([action]) => !method.returns.includes(action));
	if (illegal.length > 0) {
		for (const [action, token] of illegal.sort(([a], [b]) => (a < b ? -1 : 1)))
			c.diagnostics.at(`Invalid return "${action}"\n`, token);
		c.diagnostics.at(`\n...in subroutine "${sub.defined!.text}"\n`, sub.defined!);
		return true;
	}
	active.add(sub);
	for (const call of sub.calls) {
		const callee = c.sub(call.sub);
		if (callee.defined === null) {
			c.diagnostics.at(`Subroutine ${call.sub} does not exist\n`, call.token);
			return true;
		}
		if (illegalAction(c, callee, method, active, legal)) {
			c.diagnostics.at(`\n...called from "${sub.defined!.text}"\n`, call.token);
			return true;
		}
	}
	active.delete(sub);
	legal.add(sub);
	return false;
}

const complaint: { readonly [What in Use["what"]]: string } = {
	read: "Not available",
	write: "Cannot be set",
	unset: "Cannot be unset",
	action: "Not a valid action",
};

/** The complaint for the first use that the method does not allow; reports writes to read-only variables itself. */
function illegalUse(c: Compilation, sub: Sub, method: Method): { use: Use; complaint: string } | null {
	for (const use of sub.uses) {
		if (use.what === "write" && use.allowed === 0) {
			if (use.readable === 0) c.diagnostics.between("", use.first, use.after);
			else if ((use.readable & method.bit) === 0) return { use, complaint: complaint.read };
			else c.diagnostics.between("", use.first, use.after);
			c.diagnostics.append(use.readable === 0 ? "Variable cannot be set.\n" : "Variable is read only.\n");
			throw new Refused();
		}
		if ((use.allowed & method.bit) === 0) return { use, complaint: complaint[use.what] };
	}
	return null;
}

function checkUses(c: Compilation, sub: Sub): void {
	const method = methodByName.get(sub.name);
	if (method === undefined) return;
	const own = illegalUse(c, sub, method);
	if (own !== null) {
		c.diagnostics.between("", own.use.first, own.use.after);
		c.diagnostics.append(`${own.complaint} in subroutine '${sub.defined!.text}'.\n`);
		throw new Refused();
	}
	const legal = new Set<Sub>();
	for (const call of sub.calls)
		if (illegalBelow(c, c.sub(call.sub), method, legal)) {
			c.diagnostics.at(`\n...called from "${sub.defined!.text}"\n`, call.token);
			c.diagnostics.append(`\n...which is the "${method.name}" subroutine\n`);
			throw new Refused();
		}
}

function illegalBelow(c: Compilation, sub: Sub, method: Method, legal: Set<Sub>): boolean {
	if (legal.has(sub)) return false;
	const found = illegalUse(c, sub, method);
	if (found !== null) {
		c.diagnostics.between("", found.use.first, found.use.after);
		c.diagnostics.append(`${found.complaint} from subroutine '${method.name}'.\n`);
		c.diagnostics.at(`\n...in subroutine "${sub.defined!.text}"\n`, sub.defined!);
		return true;
	}
	for (const call of sub.calls)
		if (illegalBelow(c, c.sub(call.sub), method, legal)) {
			c.diagnostics.at(`\n...called from "${sub.defined!.text}"\n`, call.token);
			return true;
		}
	legal.add(sub);
	return false;
}

/** Methods in which everything that the sub does is allowed. */
function allowedMethods(c: Compilation, sub: Sub, known: Map<Sub, number>): number {
	const before = known.get(sub);
	if (before !== undefined) return before;
	let mask = everywhere;
	for (const use of sub.uses) mask &= use.allowed;
	for (const action of sub.returns.keys())
		mask &= [...methodByName.values()]
			.filter(({ returns }) => returns.includes(action))
			.reduce((all, { bit }) => all | bit, 0);
	for (const call of sub.calls) mask &= allowedMethods(c, c.sub(call.sub), known);
	known.set(sub, mask);
	return mask;
}
