/**
 * What the lab lays over a director's root file system, as a second initramfs archive:
 * the command channel, the services' sockets on a TCP port, and on request more tools.
 * The image itself stays as it ships.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cpio } from "../cpio.ts";
import { addProgram, findProgram } from "../elf-files.ts";
import { Tree } from "../tree.ts";

/** TCP ports on the director's own addresses behind which its services' sockets are. */
export const servicePorts: Readonly<Record<string, number>> = { vrrp: 7001, director: 7002 };

export interface OverlayTool {
	readonly debianPackage: string;
	readonly path: string;
}

export function labOverlay(tools: readonly OverlayTool[] = []): Uint8Array {
	const tree = new Tree();
	const service = (name: string, script: string | Uint8Array) =>
		tree.file(`overlay/etc/sv/${name}/run`, script, 0o755);
	service("lab-agent", readFileSync(join(import.meta.dir, "agent-service.sh")));
	const programs = [{ debianPackage: "socat", path: "/usr/bin/socat" }, ...tools];
	const found = new Tree();
	for (const { debianPackage, path } of programs)
		addProgram(found, path.replace(/^\/(usr\/)?/, "usr/"), findProgram(debianPackage, path));
	for (const entry of found.entries()) tree.add({ ...entry, path: `overlay/${entry.path}` });
	for (const [name, port] of Object.entries(servicePorts))
		service(
			`lab-${name}-socket`,
			// What it cannot reach while a service is away is no news for the serial console.
			`#!/bin/sh\nexec socat TCP-LISTEN:${port},reuseaddr,fork UNIX-CONNECT:/run/drover/${name}.sock 2>/dev/null\n`,
		);
	return cpio(tree);
}
