/** errno(3) in the operator's words. */
import { errnoName } from "../kernel/errno.ts";

const words: Readonly<Record<string, string>> = {
	ECONNREFUSED: "connection refused",
	ECONNRESET: "connection reset",
	ECONNABORTED: "connection aborted",
	EPIPE: "connection closed",
	EHOSTUNREACH: "no route to host",
	EHOSTDOWN: "host is down",
	ENETUNREACH: "network unreachable",
	ENETDOWN: "network is down",
	ETIMEDOUT: "connection timed out",
	EADDRNOTAVAIL: "address not available",
	EADDRINUSE: "address already in use",
	EACCES: "permission denied",
	EPERM: "not permitted by the firewall or the kernel",
	EMFILE: "too many open files",
	ENFILE: "too many open files in the system",
	ENOBUFS: "no buffer space",
	ENOMEM: "out of memory",
	ENODEV: "no such interface",
	ENOPROTOOPT: "protocol not available",
	EPROTO: "protocol error",
	EMSGSIZE: "message too long",
	EINVAL: "invalid argument",
	ENOENT: "no such file",
	ENOTDIR: "not a directory",
	EISDIR: "is a directory",
	ENAMETOOLONG: "the name is too long",
	ENOEXEC: "not an executable format",
	EAFNOSUPPORT: "address family not supported",
};

/** "connection refused" for 111 or -111. */
export function reasonOf(code: number): string {
	const name = errnoName(code);
	return words[name] ?? name;
}

/** "timeout after 5 s", "timeout after 300 ms". */
export function timeoutReason(timeoutMs: number): string {
	return timeoutMs % 1000 === 0 ? `timeout after ${timeoutMs / 1000} s` : `timeout after ${timeoutMs} ms`;
}
