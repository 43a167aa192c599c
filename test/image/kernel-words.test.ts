/** What the kernel is told at its start. */
import { expect, test } from "bun:test";
import { grubConfig } from "../../image/disk/grub-config.ts";
import { kernelWords } from "../../image/disk/kernel-words.ts";
import { slotWithoutLoader } from "../../image/lab/disk-machine.ts";

test("four levels of page tables, and no tests of ciphers' code", () => {
	expect(kernelWords.split(" ")).toEqual(expect.arrayContaining(["no5lvl", "cryptomgr.notests"]));
});

test("with the loader as without it", () => {
	const withoutLoader = slotWithoutLoader({ vmlinux: "", initramfs: "" }, { dataBlocks: 1, rootHash: "" });
	expect(grubConfig()).toContain(` ro gpt ${kernelWords} `);
	expect(withoutLoader.at(-1)).toStartWith(`ro gpt ${kernelWords} `);
});
