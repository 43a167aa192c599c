/** errno(3) numbers of Linux x86-64 that the firmware names, and their words. */
import { constants } from "node:os";

const nameByNumber = new Map<number, string>(
	Object.entries(constants.errno).map(([name, number]) => [number, name]),
);

export const {
	EAGAIN,
	EINPROGRESS,
	ECONNREFUSED,
	ECONNRESET,
	EHOSTUNREACH,
	ENETUNREACH,
	ETIMEDOUT,
	ENOENT,
	EEXIST,
	EPERM,
	EINTR,
	ENOBUFS,
	ENETDOWN,
	ESRCH,
	EINVAL,
	EADDRNOTAVAIL,
	EOPNOTSUPP,
	ENODEV,
} = constants.errno as Record<string, number> as typeof constants.errno & {
	ENETDOWN: number;
	ENODEV: number;
};

/** The name of `-errno` or `errno`: `errnoName(-111)` is "ECONNREFUSED". */
export function errnoName(code: number): string {
	return nameByNumber.get(Math.abs(code)) ?? `errno ${Math.abs(code)}`;
}

/** A system call that failed, with what was being done. */
export class SystemCallError extends Error {
	readonly errno: number;
	constructor(what: string, code: number) {
		super(`${what}: ${errnoName(code)}`);
		this.errno = Math.abs(code);
	}
}
