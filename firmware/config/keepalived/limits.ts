/** Named bounds of the reader. What exceeds one is reported, never silently cut. */
export const limits = {
	/** One file. keepalived reads any size; a real configuration of 20,000 servers has 3 MB. */
	fileSizeBytes: 16 * 1024 * 1024,
	/** All files of one configuration together. */
	totalSizeBytes: 64 * 1024 * 1024,
	/** Files included by one configuration. */
	fileCount: 4096,
	/** Files that include one another. */
	includeDepth: 32,
	/** A line, before and after its definitions are replaced (keepalived's buffer). */
	lineLengthBytes: 1023,
	/** Names that may be defined at a time. */
	definitionCount: 16_384,
	/** Rounds of replacing `$X` by a value that holds `$Y` again. */
	definitionDepth: 64,
	/** Lines that one `~SEQ` or `~LST` line may become, nested ones multiplied. */
	sequenceLines: 100_000,
	/** Lines after the preprocessor, over all files. */
	logicalLines: 4_000_000,
	/** Blocks within blocks. */
	blockDepth: 16,
	/** Words on one line. */
	words: 512,
	/** Findings that are kept; the rest is counted. */
	diagnostics: 1000,
} as const;
