/**
 * Which kernel modules the appliance carries, and which it loads at boot.
 * A pattern is a path below `kernel/` with `*` and `**`; the closure over modules.dep and
 * modules.softdep is added by itself.
 */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Glob } from "bun";
import { runTool } from "./disk/tool.ts";
import type { Kernel } from "./kernel.ts";
import type { Tree } from "./tree.ts";

/** In the initramfs: whatever a root file system may lie on, and the file systems themselves. */
export const initramfsModules: readonly string[] = [
	"drivers/virtio/virtio_pci.ko",
	"drivers/virtio/virtio_mmio.ko",
	"drivers/block/{virtio_blk,xen-blkfront}.ko",
	"drivers/block/loop.ko",
	"drivers/scsi/{sd_mod,virtio_scsi,hv_storvsc,vmw_pvscsi}.ko",
	"drivers/scsi/{megaraid/megaraid_sas,mpt3sas/mpt3sas,aacraid/aacraid,hpsa,smartpqi/smartpqi}.ko",
	"drivers/ata/{ahci,ata_piix,libahci,libata}.ko",
	"drivers/nvme/host/nvme.ko",
	"drivers/pci/controller/vmd.ko",
	"drivers/usb/host/{xhci-pci,ehci-pci,ohci-pci,uhci-hcd}.ko",
	"drivers/usb/storage/{usb-storage,uas}.ko",
	"drivers/mmc/core/mmc_block.ko",
	"drivers/mmc/host/{sdhci-pci,sdhci-acpi}.ko",
	"drivers/md/{dm-mod,dm-verity}.ko",
	"crypto/blake2b_generic.ko",
	"drivers/watchdog/{i6300esb,iTCO_wdt,sp5100_tco,hpwdt,wdat_wdt,softdog}.ko",
	"fs/squashfs/squashfs.ko",
	"fs/overlayfs/overlay.ko",
];

/**
 * In the root file system: network, IPVS, packet filter, tunnels, the data partition, keyboards. What a
 * built-in disk needs was loaded from the initramfs, which finds every device that is there at power-on;
 * here again is only what can be plugged in later.
 */
export const rootModules: readonly string[] = [
	"drivers/scsi/sd_mod.ko",
	"drivers/usb/host/{xhci-pci,ehci-pci,ohci-pci,uhci-hcd}.ko",
	"drivers/usb/storage/{usb-storage,uas}.ko",
	"drivers/watchdog/softdog.ko",
	"net/netfilter/ipvs/*.ko",
	"net/netfilter/{nf_,nft_,nfnetlink}*.ko",
	"net/netfilter/{x_tables,xt_ipvs,xt_mark,xt_MASQUERADE,xt_conntrack,xt_tcpudp}.ko",
	"net/ipv4/netfilter/{nf_,nft_}*.ko",
	"net/ipv6/netfilter/{nf_,nft_}*.ko",
	"net/ipv4/{ipip,ip_gre,gre,fou,ip_tunnel,ip_vti,tunnel4,inet_diag,tcp_diag}.ko",
	"net/ipv6/{ip6_tunnel,ip6_gre,sit,fou6,tunnel6}.ko",
	"net/ipv4/ah4.ko",
	"net/ipv6/ah6.ko",
	"net/8021q/8021q.ko",
	"net/packet/af_packet_diag.ko",
	"drivers/net/{macvlan,ipvlan/ipvlan,bonding/bonding,dummy,vrf,virtio_net}*.ko",
	"drivers/net/vmxnet3/vmxnet3.ko",
	"drivers/net/hyperv/hv_netvsc.ko",
	"drivers/net/xen-netfront.ko",
	"drivers/net/phy/{realtek,marvell,broadcom,smsc,micrel,ax88796b,aquantia}*.ko",
	"drivers/net/usb/{r8152,asix,ax88179_178a,cdc_ether,cdc_ncm,smsc95xx,lan78xx}.ko",
	"drivers/net/ethernet/amazon/**/*.ko",
	"drivers/net/ethernet/amd/{pcnet32,xgbe/*}.ko",
	"drivers/net/ethernet/aquantia/**/*.ko",
	"drivers/net/ethernet/atheros/**/*.ko",
	"drivers/net/ethernet/broadcom/{tg3,bnx2,b44}.ko",
	"drivers/net/ethernet/broadcom/bnxt/*.ko",
	"drivers/net/ethernet/chelsio/cxgb4/cxgb4.ko",
	"drivers/net/ethernet/cisco/enic/enic.ko",
	"drivers/net/ethernet/emulex/benet/be2net.ko",
	"drivers/net/ethernet/intel/**/*.ko",
	"drivers/net/ethernet/marvell/**/*.ko",
	"drivers/net/ethernet/mellanox/mlx4/*.ko",
	"drivers/net/ethernet/mellanox/mlx5/**/*.ko",
	"drivers/net/ethernet/nvidia/*.ko",
	"drivers/net/ethernet/realtek/*.ko",
	"drivers/net/ethernet/sfc/sfc.ko",
	"drivers/net/ethernet/stmicro/stmmac/dwmac-intel.ko",
	"drivers/net/ethernet/via/*.ko",
	"drivers/hv/hv_vmbus.ko",
	"drivers/virtio/{virtio_balloon,virtio_input}.ko",
	"drivers/char/{virtio_console,hw_random/virtio-rng}.ko",
	"drivers/char/hw_random/{intel-rng,amd-rng}.ko",
	"drivers/hid/{hid-generic,usbhid/usbhid}.ko",
	"fs/ext4/ext4.ko",
	"fs/exfat/exfat.ko",
	"fs/{fat/vfat,nls/nls_ascii,nls/nls_cp437,nls/nls_iso8859-1,nls/nls_utf8}.ko",
	"crypto/{crc32c_generic,crc32_generic,sha256_generic,hmac,md5}.ko",
	"arch/x86/crypto/crc32c-intel.ko",
];

/** Soft dependencies that busybox modprobe does not follow and without which a mount fails. */
const alwaysWith: Readonly<Record<string, readonly string[]>> = {
	"fs/ext4/ext4.ko": ["crypto/crc32c_generic.ko", "arch/x86/crypto/crc32c-intel.ko"],
};

/** modules.dep: each module with everything it needs, paths from the release's directory. */
export function parseDependencies(text: string): ReadonlyMap<string, readonly string[]> {
	const lines = text.split("\n").filter((line) => line !== "");
	return new Map(
		lines.map((line) => {
			const [module, needs = ""] = line.split(":");
			return [module!, needs.split(" ").filter((name) => name !== "")] as const;
		}),
	);
}

/** The modules that `patterns` name and all they need; sorted. Throws when a pattern matches none. */
export function selectModules(
	dependencies: ReadonlyMap<string, readonly string[]>,
	patterns: readonly string[],
): string[] {
	const chosen = new Set<string>();
	const choose = (module: string) => {
		if (chosen.has(module)) return;
		chosen.add(module);
		for (const needed of dependencies.get(module) ?? []) choose(needed);
		for (const needed of alwaysWith[module.replace(/^kernel\//, "")] ?? []) choose(`kernel/${needed}`);
	};
	for (const pattern of patterns) {
		const glob = new Glob(`kernel/${pattern}`);
		const matches = [...dependencies.keys()].filter((module) => glob.match(module));
		if (matches.length === 0) throw new Error(`no module of this kernel matches "${pattern}"`);
		matches.forEach(choose);
	}
	return [...chosen].sort();
}

/** Names as modprobe takes them. */
export const moduleName = (path: string) =>
	path.replace(/^.*\//, "").replace(/\.ko$/, "").replaceAll("-", "_");

/** Puts the chosen modules and depmod's text indexes (all that busybox reads) into `tree`. */
export function addModules(
	tree: Tree,
	kernel: Kernel,
	patterns: readonly string[],
	scratchDirectory: string,
): number {
	const dependencies = parseDependencies(readFileSync(`${kernel.modulesDirectory}/modules.dep`, "utf8"));
	const chosen = selectModules(dependencies, patterns);
	const inImage = `usr/lib/modules/${kernel.release}`;
	const scratch = join(scratchDirectory, "modules");
	const scratchModules = join(scratch, "lib/modules", kernel.release);
	rmSync(scratch, { recursive: true, force: true });
	const put = (path: string, content: Uint8Array) => {
		tree.file(`${inImage}/${path}`, content);
		mkdirSync(dirname(join(scratchModules, path)), { recursive: true });
		writeFileSync(join(scratchModules, path), content);
	};
	for (const path of chosen) put(path, readFileSync(`${kernel.modulesDirectory}/${path}`));
	// Type descriptions for tracers are a fifth of every module, and nothing here reads them.
	runTool("strip", [
		"--strip-unneeded",
		"--remove-section=.BTF",
		...chosen.map((path) => join(scratchModules, path)),
	]);
	for (const path of chosen) tree.copy(`${inImage}/${path}`, join(scratchModules, path));
	put("modules.builtin", readFileSync(`${kernel.modulesDirectory}/modules.builtin`));
	// Only depmod reads these.
	for (const name of ["modules.builtin.modinfo", "modules.order"])
		copyFileSync(`${kernel.modulesDirectory}/${name}`, join(scratchModules, name));
	const depmod = Bun.spawnSync(["/sbin/depmod", "-b", scratch, kernel.release], { stderr: "pipe" });
	if (depmod.exitCode !== 0) throw new Error(`depmod failed: ${depmod.stderr.toString()}`);
	for (const name of ["modules.dep", "modules.alias", "modules.softdep"])
		tree.copy(`${inImage}/${name}`, join(scratchModules, name));
	rmSync(scratch, { recursive: true, force: true });
	return chosen.length;
}
