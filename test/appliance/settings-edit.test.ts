/** appliance.toml changed by words: what else stands in the file stays as it stands. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { settingPaths } from "../../firmware/appliance/settings/setting-paths.ts";
import { readSettings } from "../../firmware/appliance/settings.ts";
import { editSettingsText, SettingsWordError } from "../../firmware/appliance/settings-edit.ts";
import { parseToml } from "../../firmware/appliance/toml.ts";
import {
	formatTomlValue,
	removeTomlValue,
	setTomlValue,
	TomlEditError,
	type TomlValue,
} from "../../firmware/appliance/toml-edit.ts";

const file = `# The box in rack 3.
hostname = "gate"  # its name

[[port]]
name = "eth0"   # to the router
role = "outside"
addresses = [
	"192.0.2.10/24",  # since March
]

# Management.
[[port]]
name = "eth1"
role = "inside"

[ntp]
servers = ["192.0.2.1"]

[[snmp.receivers]]
version = "v2c"
address = "10.0.0.7"
community = "told"

# The end.
`;
const set = (...words: readonly string[]) => editSettingsText(file, { set: words, remove: [] });
const remove = (...words: readonly string[]) => editSettingsText(file, { set: [], remove: words });

test("every path that is offered names a setting, also in the sections that the file has", () => {
	const paths = settingPaths(parseToml(file).value);
	expect(paths).toEqual(
		expect.arrayContaining(["hostname", "port[eth1].mtu", "port[+].name", "snmp.receivers[1].community"]),
	);
	for (const path of paths) {
		let complaint = "";
		try {
			set(`${path}=1`);
		} catch (error) {
			complaint = (error as Error).message;
		}
		expect([path, complaint]).not.toEqual([path, expect.stringMatching(/no setting|is no list|there are/)]);
	}
});

describe("a setting", () => {
	const cases: readonly (readonly [string, string, string, string])[] = [
		["that is there", "hostname=door", 'hostname = "gate"', 'hostname = "door"'],
		[
			"that is missing in a section",
			"port[eth1].mtu=9000",
			'role = "inside"\n',
			'role = "inside"\nmtu = 9000\n',
		],
		["of the whole file", "dns=192.0.2.53", "its name\n", 'its name\ndns = ["192.0.2.53"]\n'],
		[
			"a list of several lines",
			"port[1].addresses+=192.0.2.11/24",
			'[\n\t"192.0.2.10/24",  # since March\n]',
			'["192.0.2.10/24", "192.0.2.11/24"]',
		],
		["a list, an entry less", "ntp.servers-=192.0.2.1", '["192.0.2.1"]', "[]"],
		["a list, all of it", "ntp.servers=a.example, b.example", '["192.0.2.1"]', '["a.example", "b.example"]'],
		[
			"in a section that is missing",
			"ssh.enabled=on",
			"# The end.\n",
			"# The end.\n\n[ssh]\nenabled = true\n",
		],
	];
	for (const [title, word, from, to] of cases)
		test(`${title}: ${word}`, () => expect(set(word)).toBe(file.replace(from, to)));

	test("a new section of a list: every [+] of one command is the same one", () => {
		expect(set("syslog.receivers[+].host=10.0.0.9", "syslog.receivers[+].transport=tls")).toBe(
			`${file}\n[[syslog.receivers]]\nhost = "10.0.0.9"\ntransport = "tls"\n`,
		);
		const receivers = readSettings(
			set(
				"snmp.receivers[+].version=v2c",
				"snmp.receivers[+].address=10.0.0.8",
				"snmp.receivers[+].community=x",
			),
		).settings!.snmp.receivers;
		expect(receivers.map(({ address }) => address)).toEqual(["10.0.0.7", "10.0.0.8"]);
	});

	test("a section that is chosen by a name that is not there yet", () => {
		expect(set("user[anna].keys+=ssh-ed25519 AAAA anna")).toBe(
			`${file}\n[[user]]\nname = "anna"\nkeys = ["ssh-ed25519 AAAA anna"]\n`,
		);
	});

	test("in an empty file, and in one without a last line break", () => {
		const words = { set: ["ntp.servers=192.0.2.1"], remove: [] };
		expect(editSettingsText("", words)).toBe('[ntp]\nservers = ["192.0.2.1"]\n');
		expect(editSettingsText('hostname = "a"', words)).toBe(
			'hostname = "a"\n\n[ntp]\nservers = ["192.0.2.1"]\n',
		);
	});

	test("of an inline list: it is written anew", () => {
		expect(
			editSettingsText('[syslog]\nreceivers = [{ host = "a" }]\n', {
				set: ["syslog.receivers[+].host=b"],
				remove: [],
			}),
		).toBe('[syslog]\nreceivers = [{ host = "a" }, { host = "b" }]\n');
	});
});

describe("what is taken out", () => {
	test("a key with its line", () =>
		expect(remove("hostname")).toBe(file.replace('hostname = "gate"  # its name\n', "")));
	test("an element of a list, with all its lines; the comment of the next one stays", () =>
		expect(remove("port[eth0]")).toBe(
			file.replace(/\[\[port\]\]\nname = "eth0"[^#]*# to[^#]*# since March\n\]\n\n/, ""),
		));
	test("the last one of a section", () => {
		const text = remove("snmp.receivers[1]");
		expect(text).toContain("# The end.");
		expect(parseToml(text).value["snmp"]).toBeUndefined();
	});
});

describe("words that mean nothing", () => {
	const cases: readonly (readonly [string, string])[] = [
		["ssh.enabeld=on", "there is no setting ssh.enabeld; did you mean ssh.enabled?"],
		[
			"port[eth1].adresses=10.0.0.1/8",
			"there is no setting port[eth1].adresses; did you mean port[eth1].addresses?",
		],
		["zebra.stripes=on", "there is no setting zebra.stripes"],
		["ssh.enabled=perhaps", 'ssh.enabled is true or false, not "perhaps"'],
		["ssh.port=high", 'ssh.port is a whole number, not "high"'],
		["ssh", '"ssh" is not PATH=VALUE, such as ssh.enabled=true'],
		["=1", "a setting's path is missing, such as ssh.enabled"],
		["port[7].mtu=1500", "port[7].mtu: there are 2"],
		["ssh.port+=1", "ssh.port is no list: say ssh.port=VALUE"],
		["ntp.servers-=x", "ntp.servers does not hold x"],
	];
	for (const [word, message] of cases)
		test(word, () => {
			expect(() => set(word)).toThrow(SettingsWordError);
			expect(() => set(word)).toThrow(message);
		});
	test("nothing is there to remove", () => expect(() => remove("ssh.port")).toThrow("ssh.port is not set"));
	test("a form that only a person can change", () =>
		expect(() => editSettingsText("ssh.port = 22\n", { set: ["ssh.enabled=on"], remove: [] })).toThrow(
			TomlEditError,
		));
});

test("property: a value that was set is read again, and all others are what they were", () => {
	const key = fc.stringMatching(/^[a-z_]{1,6}$/);
	const leaf: fc.Arbitrary<TomlValue> = fc.oneof(
		fc.string({ maxLength: 12 }),
		fc.integer(),
		fc.boolean(),
		fc.array(fc.string({ maxLength: 6 }), { maxLength: 3 }),
	);
	const table = fc.dictionary(key, leaf, { maxKeys: 4, noNullPrototype: true });
	const sections = fc.dictionary(key, fc.oneof(leaf, table), { maxKeys: 5, noNullPrototype: true });
	fc.assert(
		fc.property(sections, key, key, leaf, (content, section, name, value) => {
			const isTable = (inner: unknown) => typeof inner === "object" && !Array.isArray(inner);
			const lines = Object.entries(content).filter(([, inner]) => !isTable(inner));
			const tables = Object.entries(content).filter(([, inner]) => isTable(inner));
			const text = [
				...lines.map(([each, inner]) => `${each} = ${formatTomlValue(inner)} # kept`),
				...tables.flatMap(([each, inner]) => [
					`[${each}]`,
					...Object.entries(inner).map(([own, deep]) => `${own} = ${formatTomlValue(deep)}`),
				]),
			].join("\n");
			fc.pre(!(section in content) || isTable(content[section]));
			const edited = setTomlValue(text, [section, name], value);
			const before = parseToml(text).value;
			expect(parseToml(edited).value as unknown).toEqual({
				...before,
				[section]: { ...(before[section] as object), [name]: value },
			});
			expect(edited.split("# kept").length).toBe(text.split("# kept").length);
			const back = parseToml(removeTomlValue(edited, [section, name])).value;
			expect(back[section]).toEqual(
				Object.fromEntries(Object.entries(before[section] ?? {}).filter(([own]) => own !== name)),
			);
		}),
	);
});

test("fuzz: whatever the words, only known errors", () => {
	const known = ["SettingsWordError", "TomlEditError", "TomlError"];
	fc.assert(
		fc.property(
			fc.oneof(fc.string({ maxLength: 60 }), fc.stringMatching(/^[a-z.[\]+=0-9,"]{0,40}$/)),
			(word) => {
				try {
					parseToml(editSettingsText(file, { set: [word], remove: [] }));
					parseToml(editSettingsText(file, { set: [], remove: [word] }));
				} catch (error) {
					if (!known.includes((error as Error).constructor.name)) throw error;
				}
			},
		),
		{ numRuns: 500 },
	);
});
