/** Why the configuration's disk was not written, in words for the operator. */

/** Somebody else was at it for too long. */
export class DiskBusyError extends Error {
	constructor() {
		super("somebody else is changing the configuration at this moment: try again");
	}
}

/** There is no room for what is to be written. */
export function isDiskFull(error: unknown): boolean {
	return ["ENOSPC", "EDQUOT"].includes((error as NodeJS.ErrnoException | null)?.code ?? "");
}

/** Null for an error that is not the disk's. */
export function diskTrouble(error: unknown): string | null {
	if (error instanceof DiskBusyError) return error.message;
	if (isDiskFull(error)) return "the disk is full: nothing was changed";
	switch ((error as NodeJS.ErrnoException | null)?.code) {
		case "EROFS":
			return "the disk can only be read: nothing was changed";
		case "EIO":
			return "the disk does not work (input/output error)";
		default:
			return null;
	}
}
