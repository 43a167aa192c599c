/** The stock compiler as an oracle: what `varnishd -C` says of a program. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface StockVerdict {
	readonly ok: boolean;
	/** From "Message from VCC-compiler:" on; the file is called F, line numbers of the compiler's own source are gone. */
	readonly text: string;
}

export class StockCompiler {
	private readonly folder = mkdtempSync(join(tmpdir(), "drover-vcl-stock-"));
	private count = 0;

	constructor() {
		// The compiler runs as a user of its own.
		chmodSync(this.folder, 0o755);
	}

	compile(source: string | Uint8Array, parameters: readonly string[] = []): StockVerdict {
		const file = join(this.folder, `f${this.count++}.vcl`);
		writeFileSync(file, source);
		return this.compileFile(file, "F", parameters);
	}

	/** Shows the file as `shown`. */
	compileFile(file: string, shown: string, parameters: readonly string[] = []): StockVerdict {
		const run = Bun.spawnSync(["varnishd", "-C", "-f", file, "-n", join(this.folder, "n"), ...parameters], {
			stdout: "pipe",
			stderr: "pipe",
		});
		// The generated C comes along; only the message is of interest.
		const all = run.stdout.toString("latin1") + run.stderr.toString("latin1");
		const begin = all.indexOf("Message from VCC-compiler:");
		const text = begin < 0 ? "" : all.slice(begin);
		return { ok: run.exitCode === 0, text: normalise(text.replaceAll(file, shown)) };
	}

	close(): void {
		rmSync(this.folder, { recursive: true, force: true });
	}
}

/** Takes out what cannot be the same: the line of the C program that noticed, the lines of the built-in
 * program (ours is worded differently), and blank-line noise at the end. */
export function normalise(text: string): string {
	return text
		.replace(/<builtin>' Line \d+ Pos/g, "<builtin>' Line N Pos")
		.replace(/\(program line \d+\), at\n/g, "at\n")
		.replace(
			/\n+(Running VCC-compiler failed[^\n]*)\n+VCL compilation failed\n*$/,
			"\n\n$1\nVCL compilation failed",
		)
		.trimEnd();
}
