import { expect, test } from "bun:test";

test("the kernel has IPVS & co", async () => {
	expect(await Bun.file("/proc/net/ip_vs").text()).toContain("IP Virtual Server version 1.2.1");
});

test("what the guest writes stays in the guest", async () => {
	await Bun.write("/etc/drover-was-here", "x");
	expect(await Bun.file("/etc/drover-was-here").text()).toBe("x");
});
