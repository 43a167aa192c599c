/** What a service goes on with after a crash. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { forgetKept, loadAtStart, loadKeeping } from "../../firmware/config/keepalived/kept.ts";

let folder: string;
let runBefore: string | undefined;
const path = (name: string) => join(folder, name);
const write = (name: string, text: string) => writeFileSync(path(name), text);
const server = (address: string) => `virtual_server ${address} 80 {
	protocol TCP
	real_server 10.1.0.1 80 {
	}
}
`;
const addresses = (service = "test", file = "main.conf") =>
	loadAtStart(service, path(file)).loaded.config.virtualServers.map(({ name }) =>
		name.kind === "address" ? name.address : name.kind,
	);
const inForce = () => loadKeeping("test", path("main.conf")).keep();

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "drover-kept-"));
	runBefore = process.env["DROVER_RUN_DIR"];
	process.env["DROVER_RUN_DIR"] = folder;
	write("main.conf", `# é\ninclude part-*.conf\n${server("10.0.0.1")}`);
	write("part-1.conf", server("10.0.0.2"));
});
afterEach(() => {
	if (runBefore === undefined) delete process.env["DROVER_RUN_DIR"];
	else process.env["DROVER_RUN_DIR"] = runBefore;
	rmSync(folder, { recursive: true });
});

const broken = "virtual_sever\n";

test("files that a reload would refuse, one that is gone, and one more: what was in force goes on", () => {
	inForce();
	write("main.conf", broken);
	rmSync(path("part-1.conf"));
	write("part-2.conf", server("10.0.0.3"));
	expect(addresses()).toEqual(["10.0.0.2", "10.0.0.1"]);
	expect(loadAtStart("test", path("main.conf")).refused?.acceptable).toBe(false);
	rmSync(path("main.conf"));
	expect(addresses()).toEqual(["10.0.0.2", "10.0.0.1"]);
});

test("files that a reload would take are taken", () => {
	inForce();
	write("part-1.conf", server("10.0.0.4"));
	const { loaded, refused } = loadAtStart("test", path("main.conf"));
	expect([loaded.acceptable, refused]).toEqual([true, null]);
	expect(addresses()).toEqual(["10.0.0.4", "10.0.0.1"]);
});

test("what was in force with errors of its own, such as an interface that is not there, goes on as well", () => {
	write("main.conf", server("10.0.0.7") + broken);
	inForce();
	// The same files: nothing was refused.
	expect(loadAtStart("test", path("main.conf")).refused).toBeNull();
	write("main.conf", broken);
	expect(addresses()).toEqual(["10.0.0.7"]);
});

test("nothing goes on of another service, another file, another boot, or before an orderly end", () => {
	inForce();
	write("main.conf", server("10.0.0.5") + broken);
	write("other.conf", server("10.0.0.6") + broken);
	expect(addresses()).toEqual(["10.0.0.2", "10.0.0.1"]);
	expect(addresses("another")).toEqual(["10.0.0.5"]);
	expect(addresses("test", "other.conf")).toEqual(["10.0.0.6"]);
	const kept = readFileSync(path("test.configuration"), "utf8");
	write("test.configuration", kept.replace(/"bootId":"./, '"bootId":"x'));
	expect(addresses()).toEqual(["10.0.0.5"]);
	write("test.configuration", kept);
	forgetKept("test");
	expect(addresses()).toEqual(["10.0.0.5"]);
});

test("an interface that is gone is no reason to go on with an older file, as it is none at a reload", () => {
	const bound = (name: string, address: string) =>
		server(address).replace("80 {\n\t}", `80 {\n\t\tTCP_CHECK {\n\t\t\tbind_if ${name}\n\t\t}\n\t}`);
	write("main.conf", bound("gone0", "10.0.0.1"));
	inForce();
	write("main.conf", bound("gone0", "10.0.0.8"));
	const { loaded, refused, keep } = loadAtStart("test", path("main.conf"));
	expect([loaded.acceptable, refused]).toEqual([true, null]);
	keep();
	write("main.conf", bound("gone1", "10.0.0.9"));
	expect(addresses()).toEqual(["10.0.0.8"]);
});

test("passwords are for root's eyes", () => {
	inForce();
	expect(statSync(path("test.configuration")).mode & 0o777).toBe(0o600);
});
