/** Why the configuration's disk was not written, in words for the operator. */

/** Somebody else was at it for too long. */
export class DiskBusyError extends Error {
	constructor() {
		super("somebody else is changing the configuration at this moment: try again");
	}
}

/** Null for an error that is not the disk's. */
export function diskTrouble(error: unknown): string | null {
	if (error instanceof DiskBusyError) return error.message;
	switch ((error as NodeJS.ErrnoException | null)?.code) {
		case "ENOSPC":
		case "EDQUOT":
			return "the disk is full: nothing was changed";
		case "EROFS":
			return "the disk can only be read: nothing was changed";
		case "EIO":
			return "the disk does not work (input/output error)";
		default:
			return null;
	}
}
