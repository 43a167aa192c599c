/**
 * What words.ts takes, as regular expressions for the JSON schema: an editor is to refuse what the box refuses.
 * The box itself goes by the functions there. Pure.
 */

const OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const IPV4 = `${OCTET}(?:\\.${OCTET}){3}`;
const GROUP = "[0-9a-fA-F]{1,4}";
const IPV6 = ipv6();

/** RFC 4291 §2.2: eight groups, the last two perhaps as a dotted quad; "::" once, for one group or more. */
function ipv6(): string {
	const head = (groups: number) => (groups === 0 ? "" : `${GROUP}(?::${GROUP}){${groups - 1}}`);
	const tail = (most: number) => {
		const inGroups = `${GROUP}(?::${GROUP}){0,${most - 1}}`;
		return most === 0 ? "" : `(?:${inGroups}${most > 1 ? `|(?:${GROUP}:){0,${most - 2}}${IPV4}` : ""})?`;
	};
	const shortened = Array.from({ length: 8 }, (_, groups) => `${head(groups)}::${tail(7 - groups)}`);
	return `(?:${[head(8), `(?:${GROUP}:){6}${IPV4}`, ...shortened].join("|")})`;
}

const WITH_LENGTH = `(?:${IPV4}/(?:0{0,2}[0-9]|0?[12][0-9]|0?3[0-2])|${IPV6}/(?:0{0,2}[0-9]|0?[0-9]{2}|1[01][0-9]|12[0-8]))`;
const LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
const HOST_NAME = `(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*`;
const PORT = "(?!0+$)(?:[0-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";

export const patterns = {
	address: `^(?:${IPV4}|${IPV6})$`,
	addressWithPrefix: `^${WITH_LENGTH}$`,
	network: `^(?:${IPV4}|${IPV6}|${WITH_LENGTH})$`,
	domain: `^${HOST_NAME}$`,
	host: `^(?:${IPV4}|${IPV6}|(?![0-9.]+$)${HOST_NAME})$`,
	listener: `^(?:\\[${IPV6}\\]|${IPV4}|):${PORT}$`,
	size: "^(?!0+[KMGTkmgt]?$)[0-9]{1,6}[KMGTkmgt]?$",
} as const;
