/** Where the services meet: one Unix socket each. */
export function runDirectory(): string {
	return process.env["DROVER_RUN_DIR"] ?? "/run/drover";
}

/** The socket of service `name`, such as "vrrp" or "director". */
export function socketPath(name: string): string {
	return `${runDirectory()}/${name}.sock`;
}
