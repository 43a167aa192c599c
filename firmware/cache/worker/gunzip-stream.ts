/** Unpacks a body while it comes. */
import { createGunzip } from "node:zlib";
import { type BodyReader, BodyStream } from "./body-stream.ts";

/** The unpacked form of a gzip stream. A stream that is no gzip fails. */
export function gunzipStream(source: BodyStream): BodyStream {
	const unpack = createGunzip();
	const target = new BodyStream(false, {
		pauseBody: () => void unpack.pause(),
		resumeBody: () => void unpack.resume(),
		abandonBody: () => {
			source.leave(reader);
			unpack.destroy();
		},
	});
	const reader: BodyReader = {
		onBody() {
			for (let piece = source.take(reader); piece !== undefined; piece = source.take(reader))
				unpack.write(piece);
			if (source.state === "failed") unpack.destroy(new Error("source failed"));
			else if (source.state === "whole" && source.drained(reader)) {
				source.leave(reader);
				if (source.bytes > 0) unpack.end();
				else target.finish();
			}
		},
	};
	unpack.on("data", (bytes: Buffer) => target.push(bytes));
	unpack.on("end", () => target.finish());
	unpack.on("error", () => target.fail());
	source.join(reader);
	reader.onBody();
	return target;
}
