/** `lb_kind`, `lvs_method`: NAT | DR | TUN [type ipip|gue|gre] [port N] [nocsum|csum|remcsum]. */
import type { Forwarding } from "../../model.ts";
import { nearest } from "../diagnostics.ts";
import { parseWhole } from "../numbers.ts";
import type { Statement } from "../statement.ts";
import type { BuildContext } from "./context.ts";

const NAT: Forwarding = { kind: "NAT" };
const DR: Forwarding = { kind: "DR" };

/** null (and a finding) when it is none of them. */
export function readForwarding(context: BuildContext, statement: Statement): Forwarding | null {
	const { words } = statement;
	if (words.length === 1) {
		if (words[0] === "NAT") return NAT;
		if (words[0] === "DR") return DR;
	}
	const kind = words[0]!;
	if (kind !== "NAT" && kind !== "DR" && kind !== "TUN") {
		const similar =
			["NAT", "DR", "TUN"].find((name) => name.toLowerCase() === kind.toLowerCase()) ??
			nearest(kind, ["NAT", "DR", "TUN"]);
		context.error(
			statement,
			"bad-argument",
			`${statement.keyword.name}: "${kind}" is none of NAT, DR, TUN`,
			`${statement.keyword.name}; its default holds`,
			similar === null ? {} : { suggestion: `did you mean "${similar}"?` },
		);
		return null;
	}
	if (kind !== "TUN") {
		context.error(
			statement,
			"bad-option",
			`${statement.keyword.name}: ${kind} takes no "${words.slice(1).join(" ")}"`,
			`"${words.slice(1).join(" ")}"`,
		);
		return kind === "NAT" ? NAT : DR;
	}
	let tunnel: "ipip" | "gue" | "gre" = "ipip";
	let port = 0;
	let checksum: "none" | "csum" | "remcsum" = "none";
	for (let index = 1; index < words.length; index++) {
		const word = words[index]!;
		if (word === "type") {
			const value = words[++index];
			if (value === "ipip" || value === "gue" || value === "gre") tunnel = value;
			else
				context.error(
					statement,
					"bad-argument",
					`${statement.keyword.name}: tunnel type "${value ?? ""}" is none of ipip, gue, gre`,
					"the tunnel type; ipip is used",
				);
		} else if (word === "port") {
			const value = parseWhole(words[++index] ?? "");
			if (value >= 1 && value <= 65_535) port = value;
			else
				context.error(
					statement,
					"out-of-range",
					`${statement.keyword.name}: port "${words[index] ?? ""}" is not a number from 1 to 65535`,
					"the port",
				);
		} else if (word === "nocsum") checksum = "none";
		else if (word === "csum" || word === "remcsum") checksum = word;
		else
			context.error(
				statement,
				"bad-option",
				`${statement.keyword.name}: "${word}" is no option of TUN`,
				`"${word}"`,
			);
	}
	if (tunnel === "gue" && port === 0)
		context.error(
			statement,
			"incomplete",
			`${statement.keyword.name}: a gue tunnel needs a port`,
			"the tunnel",
		);
	if (tunnel !== "gue" && port !== 0)
		context.error(
			statement,
			"bad-option",
			`${statement.keyword.name}: only a gue tunnel has a port`,
			"the port",
		);
	if (tunnel === "ipip" && checksum !== "none")
		context.error(
			statement,
			"bad-option",
			`${statement.keyword.name}: an ipip tunnel has no checksum`,
			"the checksum",
		);
	return { kind: "TUN", tunnel, port, checksum };
}
