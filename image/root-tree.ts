/** What lies in the root file system: Debian's programs, Bun, the firmware, the files of `rootfs/`. */
import { lstatSync, mkdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";
import { bashCompletion } from "../firmware/console/completion.ts";
import { commandNames } from "../firmware/drover.ts";
import { runTool } from "./disk/tool.ts";
import { addMergedUsr, addProgram, findProgram } from "./elf-files.ts";
import type { FirmwareBundle } from "./firmware-bundle.ts";
import type { Kernel } from "./kernel.ts";
import { addModules, rootModules } from "./modules.ts";
import { compileStarter } from "./starter/starter.ts";
import { Tree } from "./tree.ts";

const project = join(import.meta.dir, "..");

/** Debian package, where it lies in the image, where it may lie on the building machine. */
const programs: readonly (readonly [string, string, ...string[]])[] = [
	["runit", "usr/bin/runsvdir", "/usr/bin/runsvdir"],
	["runit", "usr/bin/runsv", "/usr/bin/runsv"],
	["runit", "usr/bin/sv", "/usr/bin/sv"],
	["runit", "usr/bin/svlogd", "/usr/bin/svlogd"],
	["runit", "usr/bin/chpst", "/usr/bin/chpst"],
	["iproute2", "usr/sbin/ip", "/usr/sbin/ip", "/sbin/ip"],
	["nftables", "usr/sbin/nft", "/usr/sbin/nft"],
	["util-linux", "usr/bin/resizepart", "/usr/bin/resizepart"],
	["e2fsprogs", "usr/sbin/resize2fs", "/usr/sbin/resize2fs", "/sbin/resize2fs"],
	["e2fsprogs", "usr/sbin/e2fsck", "/usr/sbin/e2fsck", "/sbin/e2fsck"],
	["e2fsprogs", "usr/sbin/mke2fs", "/usr/sbin/mke2fs", "/sbin/mke2fs"],
	["openssh-client", "usr/bin/ssh-keygen", "/usr/bin/ssh-keygen"],
	["openssh-client", "usr/bin/ssh", "/usr/bin/ssh"],
	["openssh-client", "usr/bin/scp", "/usr/bin/scp"],
	["openssh-server", "usr/sbin/sshd", "/usr/sbin/sshd"],
	["openntpd", "usr/sbin/ntpd", "/usr/sbin/ntpd"],
	// busybox's own shell would prefer its applets to the real programs: dash for scripts, bash for people.
	["dash", "usr/bin/dash", "/usr/bin/dash", "/bin/dash"],
	["bash", "usr/bin/bash", "/usr/bin/bash", "/bin/bash"],
];

/** Terminals that a serial line or a screen may be. */
const terminals = ["d/dumb", "l/linux", "v/vt100", "v/vt102", "v/vt220", "x/xterm", "x/xterm-256color"];

/** Mount points and places that links or services expect. */
const directories = ["dev", "proc", "sys", "run", "tmp", "data", "root", "var", "mnt", "usr/sbin"];

export interface RootInput {
	readonly kernel: Kernel;
	/** `compileServices`. */
	readonly bunPath: string;
	readonly firmware: FirmwareBundle;
	readonly version: string;
	readonly scratchDirectory: string;
}

export function rootTree(input: RootInput): Tree {
	const tree = new Tree();
	addMergedUsr(tree);
	for (const path of directories) tree.directory(path);
	tree.symlink("var/log", "../run/log");
	tree.symlink("var/run", "../run");
	addBusybox(tree, "usr/bin");
	const standIns = compileStandIns(input.scratchDirectory);
	for (const [debianPackage, path, ...candidates] of programs)
		addProgram(tree, path, findProgram(debianPackage, ...candidates), { standIns });
	addProgram(tree, "usr/lib/drover/bun", input.bunPath);
	tree.symlink("usr/bin/sh", "dash");
	for (const name of terminals)
		tree.copy(`usr/lib/terminfo/${name}`, findProgram("ncurses-base", `/lib/terminfo/${name}`));
	addFirmware(tree, input.firmware);
	tree.symlink("usr/sbin/keepalived", "../bin/drover");
	tree.file("usr/share/drover/completion.bash", bashCompletion(commandNames));
	tree.symlink("usr/sbin/varnishd", "../bin/drover");
	tree.symlink("usr/sbin/ntpctl", "ntpd");
	// Its folder is compiled in.
	tree.symlink("var/lib/openntpd", "../../data/ntp");
	addModules(tree, input.kernel, rootModules, input.scratchDirectory);
	addLaidOver(tree, join(project, "rootfs"));
	tree.copy("usr/bin/drover", compileStarter(input.scratchDirectory), 0o755);
	tree.file("etc/drover-release", `NAME=Drover\nVERSION=${input.version}\nKERNEL=${input.kernel.release}\n`);
	tree.symlink("etc/mtab", "/proc/self/mounts");
	// Users come from appliance.toml.
	tree.symlink("etc/passwd", "../run/drover/passwd");
	// sshd and the console read the same hash; the machine's identity is made at its first start.
	tree.symlink("etc/shadow", "../data/access/shadow");
	tree.symlink("etc/machine-id", "../data/identity/machine-id");
	tree.symlink("etc/resolv.conf", "../run/drover/resolv.conf");
	return tree;
}

/** The folder of libraries of ours that stand for Debian's: each source there is called like its library. */
function compileStandIns(scratchDirectory: string): string {
	const directory = join(scratchDirectory, "stand-ins");
	mkdirSync(directory, { recursive: true });
	for (const name of [...new Glob("*.c").scanSync(join(import.meta.dir, "stand-ins"))].sort()) {
		const library = name.slice(0, -".c".length);
		const source = join(import.meta.dir, "stand-ins", library);
		runTool("gcc", [
			...["-Os", "-shared", "-fPIC", "-nostdlib", "-s", "-Wl,--build-id=none", `-Wl,-soname,${library}`],
			...[`-Wl,--version-script=${source}.map`, "-o", join(directory, library), `${source}.c`],
		]);
	}
	return directory;
}

/** Applets that a real program of the image replaces. */
const replacedApplets = new Set([
	"ip",
	"runsv",
	"runsvdir",
	"sv",
	"svlogd",
	"chpst",
	"dpkg",
	"dpkg-deb",
	"rpm",
]);
/** Where a program must lie for the kernel or for habit. */
const inSbin = new Set(["init", "modprobe", "reboot", "poweroff", "halt", "switch_root"]);

/** busybox with a link for each of its applets in `directory`, those of /sbin also there. */
export function addBusybox(tree: Tree, directory: string): void {
	const source = findProgram("busybox-static", "/usr/bin/busybox", "/bin/busybox");
	addProgram(tree, `${directory}/busybox`, source);
	const applets = Bun.spawnSync([source, "--list"]).stdout.toString().trim().split("\n");
	for (const applet of applets) {
		if (applet === "busybox" || replacedApplets.has(applet)) continue;
		tree.symlink(`${directory}/${applet}`, "busybox");
		if (inSbin.has(applet) && directory === "usr/bin") tree.symlink(`usr/sbin/${applet}`, "../bin/busybox");
	}
}

function addFirmware(tree: Tree, firmware: FirmwareBundle): void {
	for (const { path, content } of firmware.files) tree.file(`usr/lib/drover/${path}`, content);
	// The shim is loaded by name from the bundle's own directory; its libraries come with it.
	for (const name of new Glob("*.pub.pem").scanSync(join(project, "image/keys")))
		tree.copy(`usr/share/drover/keys/${name.replace(".pub", "")}`, join(project, "image/keys", name));
	addProgram(tree, "usr/lib/drover/drover.node", firmware.shimPath, { mode: 0o644 });
}

/** The files of `directory` as they lie; executable stays executable. */
function addLaidOver(tree: Tree, directory: string): void {
	// A link counts as no file there, so everything is listed.
	for (const path of [...new Glob("**/*").scanSync({ cwd: directory, dot: true, onlyFiles: false })].sort()) {
		const source = join(directory, path);
		const kind = lstatSync(source);
		if (kind.isSymbolicLink()) tree.symlink(path, readlinkSync(source));
		else if (kind.isFile()) tree.file(path, readFileSync(source), kind.mode & 0o111 ? 0o755 : 0o644);
	}
}
