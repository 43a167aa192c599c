/**
 * A kernel with IPVS in two seconds: user-mode Linux on the host's own file system.
 *
 * The guest's root is the host's, read through hostfs and covered by a tmpfs, so nothing the guest
 * does reaches the host, except in the one directory that is shared for results (/uml in the guest).
 *
 *   const run = await runInUml(["ipvsadm", "-Ln"]);
 *   await guestSuite("./test/lab/vm/guest/ipvs.guest.ts");   // its tests, as tests of this file
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { quoted } from "../../report.ts";

const root = resolve(import.meta.dir, "../../..");

/** Where the Debian package user-mode-linux keeps the modules of its kernel. */
const MODULES = "/usr/lib/uml/modules";

const MODULES_LOADED = [
	"overlay",
	"ipv6",
	"ip_vs",
	...["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "pe_sip"].map(
		(name) => `ip_vs_${name}`,
	),
	"veth",
	"dummy",
	"ipvlan",
	"bridge",
	"ipip",
	"ip6_tunnel",
	"sit",
	"ip_gre",
	"fou",
	"fou6",
	"sch_ingress",
	"cls_u32",
	"act_skbedit",
	"af_packet_diag",
];

export interface UmlOptions {
	readonly memoryMb?: number;
	readonly limitSeconds?: number;
	readonly environment?: Readonly<Record<string, string>>;
	/** Put into /uml before the guest starts, by name. */
	readonly files?: Readonly<Record<string, string | Uint8Array>>;
	/** Whether `cpuSecondsBetween` is to know: looks at the guest's processes ten times a second. */
	readonly measuresCpu?: true;
	/** Read from /uml after it has ended; missing ones are left out. */
	readonly collect?: readonly string[];
}

export interface UmlRun {
	/** Exit status of the command; null when the guest did not get that far. */
	readonly status: number | null;
	/** The command's standard output and error. */
	readonly output: string;
	/** The kernel's console, for when something went wrong. */
	readonly console: string;
	readonly collected: Readonly<Record<string, string>>;
	/** The host's processor time that the whole guest took, to a tenth of a second; Unix milliseconds, as the guest's clock has them. */
	cpuSecondsBetween(fromMs: number, toMs: number): number;
}

/**
 * Whoever waits for the guest may be killed: the kernel goes with it, and with the kernel, as the first process of a
 * namespace of its own, the host processes that its programs run in.
 */
const endsWithCaller = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child=KILL"];

/**
 * A guest has one processor. Its kernel and its programs are host processes that hand over to each other at each system
 * call and page fault, which costs a quarter less on one of the host's processors; which one is by chance.
 */
const onOneProcessor = () => ["taskset", "--cpu-list", String(process.pid % availableParallelism())];

const CPU_SAMPLE_MS = 100;
/** USER_HZ: what proc(5) counts in. */
const TICKS_PER_SECOND = 100;

/** Processor time of all processes of the guest under `launcher`, and of those that its kernel has waited for. */
class CpuSamples {
	readonly #samples: { readonly atMs: number; readonly seconds: number }[] = [];
	readonly #timer: ReturnType<typeof setInterval>;

	constructor(launcher: number) {
		this.#timer = setInterval(() => this.#sample(launcher), CPU_SAMPLE_MS);
	}

	/** Between two samples the guest is taken to run evenly. */
	at(ms: number): number {
		const before = this.#samples.findLast(({ atMs }) => atMs <= ms) ?? { atMs: 0, seconds: 0 };
		const after = this.#samples.find(({ atMs }) => atMs > ms) ?? before;
		if (after === before) return before.seconds;
		const share = (ms - before.atMs) / (after.atMs - before.atMs);
		return before.seconds + share * (after.seconds - before.seconds);
	}

	end(): void {
		clearInterval(this.#timer);
	}

	#sample(launcher: number): void {
		const [kernel] = (readIfThere(`/proc/${launcher}/task/${launcher}/children`) ?? "").split(" ");
		if (kernel === undefined || kernel === "") return;
		let ticks = 0;
		for (const pid of readdirSync("/proc")) {
			const stat = /^\d+$/.test(pid) ? readIfThere(`/proc/${pid}/stat`) : null;
			// Behind the command's name: state, parent, group, session, and from 11 on user, system, and the children's.
			const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
			if (fields?.[3] !== kernel) continue;
			for (const field of fields.slice(11, 15)) ticks += Number(field);
		}
		this.#samples.push({ atMs: Date.now(), seconds: ticks / TICKS_PER_SECOND });
	}
}

const quote = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

/** Boots, runs `command` as root in the project's directory, halts. */
export async function runInUml(command: readonly string[], options: UmlOptions = {}): Promise<UmlRun> {
	const shared = mkdtempSync(join(tmpdir(), "drover-uml-"));
	try {
		for (const [name, text] of Object.entries(options.files ?? {})) writeFileSync(join(shared, name), text);
		const environment = Object.entries({ NO_COLOR: "1", ...options.environment })
			.map(([name, value]) => `${name}=${quote(value)}`)
			.join(" ");
		writeFileSync(join(shared, "init"), initScript(shared, environment, command), { mode: 0o755 });
		const kernel = Bun.spawn(
			[
				...onOneProcessor(),
				...endsWithCaller,
				"linux.uml",
				`mem=${options.memoryMb ?? 1024}M`,
				"root=/dev/root",
				"rootfstype=hostfs",
				"rootflags=/",
				"rw",
				`init=${shared}/init`,
				"con=null",
				"con0=null,fd:1",
				`uml_dir=${shared}`,
				"umid=guest",
				"quiet",
			],
			{
				stdin: "ignore",
				stdout: "pipe",
				stderr: "ignore",
				detached: true,
				env: { ...process.env, TMPDIR: "/dev/shm" },
			},
		);
		const cpu = options.measuresCpu ? new CpuSamples(kernel.pid) : null;
		const timer = setTimeout(
			() => process.kill(-kernel.pid, "SIGKILL"),
			(options.limitSeconds ?? 120) * 1000,
		);
		const console = await new Response(kernel.stdout).text();
		await kernel.exited;
		clearTimeout(timer);
		cpu?.end();
		const status = readIfThere(join(shared, "status"));
		const collected: Record<string, string> = {};
		for (const name of options.collect ?? []) {
			const text = readIfThere(join(shared, name));
			if (text !== null) collected[name] = text;
		}
		return {
			status: status === null ? null : Number(status),
			output: readIfThere(join(shared, "output")) ?? "",
			console,
			collected,
			cpuSecondsBetween: (fromMs, toMs) => (cpu === null ? Number.NaN : cpu.at(toMs) - cpu.at(fromMs)),
		};
	} finally {
		rmSync(shared, { recursive: true, force: true });
	}
}

function initScript(shared: string, environment: string, command: readonly string[]): string {
	// Empty at first, unless the project itself lies there; what is written goes to memory either way.
	const volatile = ["tmp", "run", "dev/shm"].filter((place) => !root.startsWith(`/${place}/`)).join(" ");
	// Modules are loaded up front: the kernel's own request for one would look in the boot root, without MODULES.
	return `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount --bind ${MODULES} /lib/modules
modprobe -a ${MODULES_LOADED.join(" ")}
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
mount --bind /lib/modules /mnt/root/lib/modules
mount -t proc proc /mnt/root/proc
mount -t sysfs sys /mnt/root/sys
mount -t devtmpfs dev /mnt/root/dev
mkdir -p /mnt/root/dev/shm /mnt/root/dev/pts
for place in ${volatile}; do mount -t tmpfs tmpfs /mnt/root/$place; done
mount -t devpts devpts /mnt/root/dev/pts
mkdir -p /mnt/root/uml /mnt/root/run/netns
mount -t hostfs none /mnt/root/uml -o ${shared}
ip link set lo up
cat > /mnt/root/run/command <<'END'
cd ${quote(root)}
exec env ${environment} ${command.map(quote).join(" ")}
END
chroot /mnt/root sh /run/command > /mnt/root/uml/output 2>&1
echo $? > /mnt/root/uml/status
sync
halt -f
`;
}

function readIfThere(path: string): string | null {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return null;
	}
}

interface GuestTest {
	readonly name: string;
	readonly failure: string | null;
}

/**
 * Runs a file of bun tests inside the guest and registers each of them here, with its verdict.
 * A guest that does not come up, or that runs no test, is one failed test.
 */
export async function guestSuite(file: string, options: UmlOptions = {}): Promise<void> {
	const run = await runInUml(
		[
			process.execPath,
			"test",
			file,
			"--reporter=junit",
			"--reporter-outfile=/uml/junit.xml",
			"--timeout=180000",
		],
		{ ...options, collect: [...(options.collect ?? []), "junit.xml"] },
	);
	const tests = guestTests(run.collected["junit.xml"] ?? "");
	const explained = () =>
		quoted(`${run.output.slice(-8000)}\n${run.status === null ? run.console.slice(-2000) : ""}`);
	describe(`in user-mode Linux: ${file}`, () => {
		if (tests.length === 0 || (run.status !== 0 && tests.every(({ failure }) => failure === null)))
			test("the guest runs its tests", () => {
				throw new Error(explained());
			});
		for (const { name, failure } of tests)
			test(name, () => {
				if (failure !== null) throw new Error(`${failure}\n${explained()}`);
				expect(failure).toBeNull();
			});
	});
}

/** The test cases of a JUnit report as bun writes it; skipped ones count as failed. */
export function guestTests(report: string): readonly GuestTest[] {
	const tests: GuestTest[] = [];
	for (const match of report.matchAll(/<testcase ([^>]*?)(\/>|>([\s\S]*?)<\/testcase>)/g)) {
		const attribute = (name: string) =>
			unescapeXml(new RegExp(`\\b${name}="([^"]*)"`).exec(match[1]!)?.[1] ?? "");
		const place = attribute("classname");
		const body = match[3] ?? "";
		tests.push({
			name: place === "" ? attribute("name") : `${place} > ${attribute("name")}`,
			failure: /<(failure|error|skipped)/.test(body) ? unescapeXml(body.trim()) : null,
		});
	}
	return tests;
}

function unescapeXml(text: string): string {
	return text
		.replaceAll("&lt;", "<")
		.replaceAll("&gt;", ">")
		.replaceAll("&quot;", '"')
		.replaceAll("&apos;", "'")
		.replaceAll("&amp;", "&");
}
