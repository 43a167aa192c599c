/**
 * Outlives the pair: when all of its processes are gone and none is back before the lease of the last
 * advert ends, the virtual addresses are taken off, so that no box holds an address that it does not defend. A shell
 * of 200 kB that waits: every process of the pair holds a FIFO open for writing, whose end is the news.
 */
import { constants, mkdirSync, openSync, readFileSync, rmSync, statSync } from "node:fs";
import { runDirectory } from "../bus/socket-path.ts";
import type { HeldAddress } from "./address-keeper.ts";

/** An address that must not outlive its lease. */
export interface Guarded {
	readonly held: HeldAddress;
	readonly device: string;
	/** From the end of the processes on. */
	readonly leaseMicros: number;
}

/** Changes within this time are written together. */
const DELAY_MS = 200;

/**
 * $0: the FIFO; $1: what is guarded, gone when nothing is any more. It ends when all is taken off: who comes back then
 * starts another one.
 */
export const guardScript = `
# Whether the FIFO is held by nobody for so many seconds. (busybox's timeout knows whole ones alone.)
nobody_within() {
	: <"$0" &
	waits=$!
	sleep "$1"
	kill "$waits" 2>/dev/null
}
while [ -e "$1" ]; do
	# Who has both ends opens it without waiting for anybody. Blocks until the FIFO is held by nobody.
	exec 3<>"$0" 4<"$0" 3>&-
	while read -r _ <&4; do :; done
	[ -e "$1" ] || exit 0
	while read -r wait address device; do
		[ "$wait" = 0 ] || nobody_within "$wait" || continue 2
		ip address del "$address" dev "$device" 2>/dev/null &&
			echo "no VRRP process is left: $address is taken off $device" >&2
	done <"$1"
	# Who came meanwhile has seen this one, and relies on it.
	nobody_within 0.2 && exit 0
done`;

const fifoPath = () => `${runDirectory()}/vrrp.held`;
const listPath = () => `${runDirectory()}/vrrp.guarded`;
const pidPath = () => `${runDirectory()}/vrrp.guard.pid`;

/** Says "I live" for as long as this process does. */
export function holdFifo(): void {
	mkdirSync(runDirectory(), { recursive: true, mode: 0o755 });
	if (!statSync(fifoPath(), { throwIfNoEntry: false })?.isFIFO()) {
		rmSync(fifoPath(), { force: true });
		Bun.spawnSync(["mkfifo", "-m", "0600", fifoPath()], { stderr: "ignore" });
	}
	// For reading, too, so that opening does not wait for the guard. It is closed by the end of the process.
	openSync(fifoPath(), constants.O_RDWR | constants.O_NONBLOCK);
}

/** What the guard reads, line by line: how long to wait after the line before, in seconds; the address; its device. Pure. */
export function guardedText(guarded: readonly Guarded[]): string {
	let waitedMicros = 0;
	return [...guarded]
		.sort((a, b) => a.leaseMicros - b.leaseMicros)
		.map(({ held: { kernel }, device, leaseMicros }) => {
			const waitSeconds = (leaseMicros - waitedMicros) / 1e6;
			waitedMicros = leaseMicros;
			return `${waitSeconds} ${kernel.address}/${kernel.prefixLength} ${device}\n`;
		})
		.join("");
}

export class Guard {
	readonly #read: () => readonly Guarded[];
	#written: string | null = null;
	#timer: ReturnType<typeof setTimeout> | null = null;
	#closed = false;

	constructor(read: () => readonly Guarded[]) {
		this.#read = read;
		this.changed();
	}

	/** Has the list written soon if it differs. */
	changed(): void {
		if (this.#closed) return;
		this.#timer ??= setTimeout(() => void this.#write(), DELAY_MS);
	}

	/** An orderly end: there is nothing to guard. */
	close(): void {
		this.#closed = true;
		if (this.#timer !== null) clearTimeout(this.#timer);
		rmSync(listPath(), { force: true });
		const pid = runningGuard();
		if (pid !== null) process.kill(pid, "SIGTERM");
	}

	async #write(): Promise<void> {
		this.#timer = null;
		const text = guardedText(this.#read());
		if (text === this.#written) return;
		try {
			// Not loaded before it is needed: a box that starts waits for this program.
			const { rename, writeFile } = await import("node:fs/promises");
			await writeFile(`${listPath()}.new`, text, { mode: 0o600 });
			if (this.#closed) return;
			await rename(`${listPath()}.new`, listPath());
			this.#written = text;
			if (runningGuard() === null) await this.#start();
		} catch {
			// The next change tries again.
		}
	}

	async #start(): Promise<void> {
		const child = Bun.spawn(["/bin/sh", "-c", guardScript, fifoPath(), listPath()], {
			stdin: "ignore",
			stdout: "ignore",
			stderr: "inherit",
			detached: true,
		} as Bun.SpawnOptions.OptionsObject<"ignore", "ignore", "inherit">);
		child.unref();
		const { writeFile } = await import("node:fs/promises");
		await writeFile(pidPath(), String(child.pid));
	}
}

function runningGuard(): number | null {
	try {
		const pid = Number(readFileSync(pidPath(), "utf8"));
		return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(fifoPath()) ? pid : null;
	} catch {
		return null;
	}
}
