/** Why scp did not carry a file, in one line. Pure. */

/** `said`: what scp and ssh wrote. ssh says why, scp only that the connection is closed behind that. */
export function scpTrouble(said: string): string {
	const lines = said
		.split("\n")
		.map((line) => line.trim().replace(/^scp: /, ""))
		.filter((line) => line !== "" && !line.startsWith("Warning: "));
	const forget = lines.find((line) => /^ssh-keygen -f .* -R /.test(line));
	if (forget !== undefined)
		return `the host shows another key than before: somebody may be in between. If the host was set up anew, forget its old key in the shell: ${forget}`;
	const reasons = lines.filter((line) => !/^(Connection closed|lost connection)\b/.test(line));
	return reasons.at(-1) ?? lines.at(-1) ?? "it failed";
}
