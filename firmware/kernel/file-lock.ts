/** A lock that the kernel takes back when its holder ends, however that ends (flock(2)). */
import { EAGAIN, SystemCallError } from "./errno.ts";
import { native } from "./native.ts";

/** Locks an open file or folder for this descriptor alone. False while somebody else has it. Closing it unlocks. */
export function tryLock(fd: number): boolean {
	const result = native.lockFile(fd);
	if (result < 0 && result !== -EAGAIN) throw new SystemCallError("flock", result);
	return result === 0;
}
