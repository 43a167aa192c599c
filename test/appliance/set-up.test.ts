/** The first start's conversation, typed by a test; and the preset that spares it. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { hashPassword } from "../../firmware/appliance/password.ts";
import { choosePassword } from "../../firmware/appliance/password-dialogue.ts";
import { belongsToPreset, parsePreset } from "../../firmware/appliance/preset.ts";
import { type PortSight, type SetUp, settingsText, setUp } from "../../firmware/appliance/set-up-dialogue.ts";
import { parseSettings, SETTINGS_LIMIT_BYTES } from "../../firmware/appliance/settings.ts";

const port = (name: string, carrier = true): PortSight => ({
	name,
	macAddress: "52:54:00:00:00:01",
	carrier,
	speedMegabits: carrier ? 1000 : null,
});

interface Talk {
	readonly result: SetUp | null;
	readonly shown: string;
	readonly secrets: readonly string[];
	readonly blinked: readonly string[];
}

/** Types `answers` in order; null is ^C. Throws when the conversation wants more. */
function talk(
	answers: readonly (string | null)[],
	looks: readonly (readonly PortSight[])[] = [[port("eth0"), port("eth1")]],
): Talk {
	const dialogue = setUp({ version: "1.2.3", hasNetwork: false });
	const left = [...answers];
	const shown: string[] = [];
	const secrets: string[] = [];
	const blinked: string[] = [];
	let look = 0;
	let reply: string | null = "";
	for (;;) {
		const { done, value } = dialogue.next(reply);
		reply = "";
		if (done) {
			expect(left).toEqual([]);
			return { result: value, shown: shown.join("\n"), secrets, blinked };
		}
		switch (value.kind) {
			case "say":
				shown.push(...value.lines);
				break;
			case "look":
				value.found(looks[Math.min(look++, looks.length - 1)]!);
				break;
			case "blink":
				blinked.push(value.port);
				value.told(value.port === "eth1" ? "The driver of eth1 cannot let it blink." : null);
				break;
			case "ask": {
				if (left.length === 0) throw new Error(`asked for more: ${value.prompt}`);
				reply = left.shift()!;
				shown.push(value.prompt);
				if (value.secret && reply !== null) secrets.push(reply);
			}
		}
	}
}

const password = ["a good password", "a good password"];
const network = [
	"gate-1",
	"1",
	"2",
	"192.0.2.10/24, 2001:db8::10/64",
	"192.0.2.1",
	"10.0.0.10/16",
	"192.0.2.53",
];

describe("the first start", () => {
	test("a password, a name, two ports with addresses, gateway, name servers", () => {
		const { result, shown, secrets } = talk([...password, ...network, "y"]);
		expect(result?.password).toBe("a good password");
		expect(secrets).toEqual(password);
		expect(parseSettings(settingsText(result!.network!))).toMatchObject({
			hostname: "gate-1",
			dns: ["192.0.2.53"],
			port: [
				{
					name: "eth0",
					role: "outside",
					addresses: ["192.0.2.10/24", "2001:db8::10/64"],
					gateways: ["192.0.2.1"],
				},
				{ name: "eth1", role: "inside", addresses: ["10.0.0.10/16"], gateways: [] },
			],
		});
		expect(shown).toContain("Drover 1.2.3: this box has not been set up yet.");
	});

	test("no line is wider than 79 columns", () => {
		const { shown } = talk([...password, "x".repeat(63), ...network.slice(1), "y"]);
		for (const line of shown.split("\n")) expect(line.length).toBeLessThanOrEqual(79);
	});

	test("there is no way around the password", () => {
		expect(talk([null]).result).toBeNull();
		expect(talk(["a good password", null]).result).toBeNull();
		const { shown, result } = talk(["short", "a good password", "another one", ...password, null]);
		expect(shown).toContain("A password has at least 8 characters.");
		expect(shown).toContain("Those were two different ones.");
		expect(result).toEqual({ password: "a good password", network: null });
	});

	test.each<[string, readonly (string | null)[], string]>([
		["a name that is none", ["bad_name", "gate-1"], "A name has letters, digits and hyphens"],
		["an address without a prefix length", ["gate-1", "1", "2", "192.0.2.10"], "prefix length"],
		[
			"a gateway that no network reaches",
			["gate-1", "1", "2", "192.0.2.10/24", "198.51.100.1"],
			"none of this port's networks",
		],
		["a port that is not there", ["gate-1", "3"], "There is no port 3."],
	])("%s is asked for again", (_title, answers, message) => {
		expect(talk([...password, ...answers, null]).shown).toContain(message);
	});

	test("^C at each question of the network leaves the password and sets nothing else", () => {
		for (let at = 0; at <= network.length; at++)
			expect(talk([...password, ...network.slice(0, at), null]).result).toEqual({
				password: "a good password",
				network: null,
			});
	});

	test("a light blinks, or the driver's excuse is told; a pulled cable is seen", () => {
		const { shown, blinked } = talk(
			[...password, "", "b1", "b 2", "", null],
			[
				[port("eth0"), port("eth1")],
				[port("eth0"), port("eth1")],
				[port("eth0"), port("eth1")],
				[port("eth0", false), port("eth1")],
			],
		);
		expect(blinked).toEqual(["eth0", "eth1"]);
		expect(shown).toContain("eth0 has blinked.");
		expect(shown).toContain("The driver of eth1 cannot let it blink.");
		expect(shown).toMatch(/eth0 .* no link {2}<- changed/);
	});

	test("a preset box is asked for its password only", () => {
		const dialogue = setUp({ version: "1.2.3", hasNetwork: true });
		dialogue.next("");
		dialogue.next("");
		dialogue.next("a good password");
		expect(dialogue.next("a good password")).toEqual({
			done: true,
			value: { password: "a good password", network: null },
		});
	});

	test("one leg is enough: no inside port", () => {
		const { result } = talk([...password, "", "1", "-", "192.0.2.10/24", "", "", "y"]);
		expect(result?.network?.ports).toEqual([
			{ name: "eth0", role: "outside", addresses: ["192.0.2.10/24"], gateways: [] },
		]);
	});

	test("whatever is typed, it ends in a password and settings that can be read, or in nothing", () => {
		const answer = fc.oneof(
			fc.constantFrom<(string | null)[]>(
				null,
				"1",
				"2",
				"-",
				"b1",
				"y",
				"n",
				"192.0.2.1/24",
				"192.0.2.2",
				"a good password",
			),
			fc.string({ maxLength: 30 }),
		);
		fc.assert(
			fc.property(fc.array(answer, { maxLength: 40 }), (answers) => {
				let result: SetUp | null;
				try {
					({ result } = talk([...answers, null, null, null]));
				} catch {
					// It wanted more answers, or fewer.
					return;
				}
				if (result?.network) parseSettings(settingsText(result.network));
			}),
		);
	});
});

test("a new password is typed twice", () => {
	const dialogue = choosePassword();
	expect(dialogue.next("").value).toMatchObject({ kind: "ask", secret: true });
	expect(dialogue.next("correct horse").value).toMatchObject({ kind: "ask", secret: true });
	expect(dialogue.next("correct horse")).toEqual({ done: true, value: "correct horse" });
});

describe("drover.toml", () => {
	const hash = hashPassword("a good password");
	test("settings and the console's password", () => {
		const preset = parsePreset(
			`hostname = "gate-2"\nconsole_password_hash = "${hash}"\n[[port]]\nname = "eth0"\nrole = "outside"\n`,
		);
		expect(preset.passwordHash).toBe(hash);
		expect(parseSettings(preset.settings)).toMatchObject({ hostname: "gate-2", port: [{ name: "eth0" }] });
	});
	test.each<[string, string, string]>([
		["a wrong value, with its place", 'hostname = "gate-2"\ndns = ["nowhere"]\n', "drover.toml:2:"],
		["a password in clear", 'console_password_hash = "secret"\n', "no scrypt hash"],
		["a file that is too long", "#".repeat(SETTINGS_LIMIT_BYTES + 1), "longer than"],
	])("%s is refused", (_title, text, message) => {
		expect(() => parsePreset(text)).toThrow(message);
	});
	test("any text is a preset or an Error", () => {
		fc.assert(
			fc.property(fc.string({ maxLength: 400 }), (text) => {
				try {
					parsePreset(text);
				} catch (error) {
					expect(error).toBeInstanceOf(Error);
				}
			}),
		);
	});
	test("what may lie beside it", () => {
		expect(["keepalived.conf", "main.vcl", "../x.vcl", "shadow", ".vcl"].filter(belongsToPreset)).toEqual([
			"keepalived.conf",
			"main.vcl",
		]);
	});
});
