/** Where finished transactions go. */
export interface LogSink {
	/** `before`: records of the parent that are written ahead, under `parentId`; either may be empty. */
	write(id: number, text: string, parentId: number, before: string): void;
	/** Records that are whole already: ids in their places, batches with their heads. The first `length` bytes. */
	append(block: Buffer, length: number, records: number): void;
	/** Every record is written as it is made (debug=+syncvsl). */
	readonly immediate: boolean;
}

export const discardingSink: LogSink = { write() {}, append() {}, immediate: false };
