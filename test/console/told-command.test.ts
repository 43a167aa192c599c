/** What the log says of a command that somebody ran. */
import { expect, test } from "bun:test";
import { toldCommand } from "../../firmware/console/told-command.ts";

test.each([
	[
		"config backup https://anna:secret@example.org/box.tar",
		"config backup https://anna:…@example.org/box.tar",
	],
	["config restore http://anna:p@ss@10.0.0.1/x", "config restore http://anna:…@10.0.0.1/x"],
	["update install HTTPS://:secret@example.org/new.fw", "update install HTTPS://:…@example.org/new.fw"],
	["config backup scp://anna@example.org/box.tar", "config backup scp://anna@example.org/box.tar"],
	["cache why http://[fd00::1]:8080/a@b", "cache why http://[fd00::1]:8080/a@b"],
	["cache purge http://example.org:80/a:b@c", "cache purge http://example.org:80/a:b@c"],
	["vs list", "vs list"],
])("%s", (typed, told) => {
	expect(toldCommand(typed.split(" "))).toBe(told);
});
