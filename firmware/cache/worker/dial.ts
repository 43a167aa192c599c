/**
 * A TCP or Unix connection to a backend by the kernel's own calls: the reason of a failure is the kernel's, and an
 * attempt that is given up leaves nothing behind. (Bun's own connect calls every failure a refusal and cannot be
 * called off.)
 */
import {
	AF_INET,
	AF_INET6,
	AF_UNIX,
	SO_ERROR,
	SOCK_NONBLOCK,
	SOCK_STREAM,
	SOL_SOCKET,
} from "../../kernel/constants.ts";
import { EADDRNOTAVAIL, ECONNREFUSED, EINPROGRESS, ENETUNREACH, ETIMEDOUT } from "../../kernel/errno.ts";
import { native } from "../../kernel/native.ts";
import { internetAddress, unixAddress } from "../../kernel/sockaddr.ts";
import { hasFailed, type Watch, watchWritable } from "../../kernel/watch.ts";

export type DialTarget =
	/** `address` is an IP address. */
	| { readonly kind: "tcp"; readonly address: string; readonly port: number }
	| { readonly kind: "unix"; readonly path: string };

export type Dialled =
	| { readonly kind: "open"; readonly fd: number }
	/** `errno` is positive. */
	| { readonly kind: "failed"; readonly errno: number };

const EISCONN = 106;

/** Connects; `done` is called once, perhaps before this returns. The result gives the attempt up: then it is not. */
export function dial(target: DialTarget, done: (dialled: Dialled) => void): () => void {
	const address =
		target.kind === "unix" ? unixAddress(target.path) : internetAddress(target.address, target.port);
	const family = target.kind === "unix" ? AF_UNIX : target.address.includes(":") ? AF_INET6 : AF_INET;
	const fd = native.socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		done({ kind: "failed", errno: -fd });
		return () => {};
	}
	const fail = (errno: number) => {
		native.close(fd);
		done({ kind: "failed", errno });
	};
	let status = native.connect(fd, address);
	// On this machine it often stands at once.
	if (status === -EINPROGRESS) status = native.connect(fd, address);
	if (status === 0 || status === -EISCONN) {
		done({ kind: "open", fd });
		return () => {};
	}
	if (status !== -EINPROGRESS && status !== -EALREADY) {
		fail(-status);
		return () => {};
	}
	let watch: Watch | undefined = watchWritable(fd, (events) => {
		watch = undefined;
		if (hasFailed(events)) fail(native.getSocketOption(fd, SOL_SOCKET, SO_ERROR) || ECONNREFUSED);
		else done({ kind: "open", fd });
	});
	return () => {
		if (watch === undefined) return;
		watch.close();
		watch = undefined;
		native.close(fd);
	};
}

const EALREADY = 114;

/** strerror(3), as varnishd prints it in FetchError. */
const words: Readonly<Record<number, string>> = {
	2: "No such file or directory",
	13: "Permission denied",
	24: "Too many open files",
	[EADDRNOTAVAIL]: "Cannot assign requested address",
	[ENETUNREACH]: "Network is unreachable",
	104: "Connection reset by peer",
	[ETIMEDOUT]: "Connection timed out",
	[ECONNREFUSED]: "Connection refused",
	112: "Host is down",
	113: "No route to host",
};

/** "errno 111 (Connection refused)" */
export const errnoText = (errno: number) => `errno ${errno} (${words[errno] ?? "Unknown error"})`;
