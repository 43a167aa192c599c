/**
 * One file's changes (inotify(7)). The folder is watched, not the file: a file that does not exist yet, is replaced by
 * rename or is deleted and made again is followed.
 */
import { basename, dirname } from "node:path";
import {
	IN_CLOSE_WRITE,
	IN_CREATE,
	IN_DELETE,
	IN_MODIFY,
	IN_MOVED_FROM,
	IN_MOVED_TO,
	IN_Q_OVERFLOW,
} from "./constants.ts";
import { SystemCallError } from "./errno.ts";
import { native } from "./native.ts";
import { watchReadable } from "./watch.ts";

const EVENT_HEADER_BYTES = 16;
const BUFFER_BYTES = 16_384;
const IN_IGNORED = 0x8000;

export interface InotifyEvent {
	readonly watchDescriptor: number;
	/** IN_* bits. */
	readonly mask: number;
	/** Name inside the watched folder; empty for the folder itself. */
	readonly name: string;
}

/** struct inotify_event, one after the other; what does not fit ends the list. Pure. */
export function parseInotifyEvents(bytes: Uint8Array): InotifyEvent[] {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const events: InotifyEvent[] = [];
	for (let at = 0; at + EVENT_HEADER_BYTES <= bytes.length; ) {
		const length = view.getUint32(at + 12, true);
		const end = at + EVENT_HEADER_BYTES + length;
		if (end > bytes.length) break;
		const padded = bytes.subarray(at + EVENT_HEADER_BYTES, end);
		const nul = padded.indexOf(0);
		events.push({
			watchDescriptor: view.getInt32(at, true),
			mask: view.getUint32(at + 4, true),
			name: new TextDecoder().decode(nul < 0 ? padded : padded.subarray(0, nul)),
		});
		at = end;
	}
	return events;
}

export interface FileWatch {
	close(): void;
}

/**
 * Calls back after the file at `path` was written, appeared, or vanished, and once if the folder itself went away
 * (nothing more is told then). Several changes may come as one call: read the file. Throws a SystemCallError when the
 * folder cannot be watched.
 */
export function watchFile(path: string, onChange: () => void): FileWatch {
	const fd = native.inotifyInit();
	if (fd < 0) throw new SystemCallError("inotify", fd);
	const mask = IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
	const status = native.inotifyAddWatch(fd, dirname(path), mask);
	if (status < 0) {
		native.close(fd);
		throw new SystemCallError(`watching ${dirname(path)}`, status);
	}
	const name = basename(path);
	const buffer = new Uint8Array(BUFFER_BYTES);
	const watch = watchReadable(fd, () => {
		const length = native.read(fd, buffer);
		if (length <= 0) return;
		const events = parseInotifyEvents(buffer.subarray(0, length));
		if (events.some((event) => event.name === name || (event.mask & (IN_Q_OVERFLOW | IN_IGNORED)) !== 0))
			onChange();
	});
	return {
		close() {
			watch.close();
			native.close(fd);
		},
	};
}
