/** Who is at the other end of a Unix socket (unix(7), SO_PEERCRED). */
import { native } from "./native.ts";

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** struct ucred: pid, uid, gid. */
const UCRED_BYTES = 12;

/** Null when the kernel does not say. */
export function peerCredentials(fd: number): { readonly uid: number; readonly gid: number } | null {
	const bytes = new Uint8Array(UCRED_BYTES);
	if (native.getSocketOptionBytes(fd, SOL_SOCKET, SO_PEERCRED, bytes) !== UCRED_BYTES) return null;
	const view = new DataView(bytes.buffer);
	return { uid: view.getInt32(4, true), gid: view.getInt32(8, true) };
}
