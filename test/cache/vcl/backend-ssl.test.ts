/** `.ssl` and what goes with it in a backend: an extension of VCL. */
import { describe, expect, test } from "bun:test";
import { compileVcl } from "../../../firmware/cache/vcl/compile.ts";
import { formatFailure } from "../../../firmware/cache/vcl/diagnostic.ts";

const compile = (fields: string) =>
	compileVcl(`vcl 4.1;\nbackend b { .host = "192.0.2.1"; ${fields} }\n`, {
		name: "test",
		checkFile: (path) => (path === "/there" ? null : "No such file or directory"),
	});

function backend(fields: string) {
	const result = compile(fields);
	if (!result.ok) throw new Error(formatFailure(result.error));
	return result.vcl.backends[0]!;
}

describe("meaning", () => {
	test("off by default", () => {
		expect(backend("").tls).toBeNull();
		expect(backend(".ssl = 0; .ssl_sni = 1;").tls).toBeNull();
	});

	test(".ssl = 1: port 443, the name is said, the chain is verified, the host is not", () => {
		const { tls, endpoint } = backend(".ssl = 1;");
		expect(tls).toEqual({ sni: true, verifyPeer: true, verifyHost: false, authorities: null });
		expect(endpoint).toMatchObject({ port: "443" });
		expect(backend('.ssl = 1; .port = "8443";').endpoint).toMatchObject({ port: "8443" });
	});

	test("every switch", () => {
		expect(
			backend('.ssl = 1; .ssl_sni = 0; .ssl_verify_peer = 0; .ssl_verify_host = 1; .ssl_ca = "/there";').tls,
		).toEqual({ sni: false, verifyPeer: false, verifyHost: true, authorities: "/there" });
	});
});

describe("refused", () => {
	const cases: readonly (readonly [fields: string, message: string])[] = [
		[".ssl = 2;", ".ssl must be 0 or 1"],
		[".ssl_verify_peer = 0;", ".ssl_verify_peer has no meaning without .ssl = 1;"],
		['.ssl_ca = "/there";', ".ssl_ca has no meaning without .ssl = 1;"],
		['.ssl = 1; .ssl_ca = "there";', ".ssl_ca: Must be an absolute path"],
		['.ssl = 1; .ssl_ca = "/gone";', ".ssl_ca: Cannot read: No such file or directory"],
		[".ssl = 1; .ssl = 1;", "Field 'ssl' redefined at"],
		[".ssl = yes;", "Expected CNUM got 'yes'"],
		[".ssl_key = 1;", "Unknown field: 'ssl_key'"],
	];
	for (const [fields, message] of cases)
		test(fields, () => {
			const result = compile(fields);
			expect(result.ok ? "accepted" : formatFailure(result.error)).toContain(message);
		});
});
