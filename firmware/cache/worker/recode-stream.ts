/** Packs or unpacks a body while it goes by. */
import { createGunzip, createGzip } from "node:zlib";
import type { BodyBudget } from "./body-budget.ts";
import { type BodyReader, BodyStream } from "./body-stream.ts";

/** Bytes that may wait to be packed or unpacked; with more their source has to wait. */
export const WAITING_BYTES = 128 * 1024;
/** A body that is there already is given in pieces of this size. */
const PIECE_BYTES = 64 * 1024;

/**
 * The other form of a stream, from where it stands: it takes no more than its own readers do. One that is no gzip, and
 * shall be unpacked, fails. `onEnd` is called once, when nothing of the source is used any more.
 */
export function recodeStream(
	source: BodyStream,
	recoding: "gzip" | "gunzip",
	level: number,
	budget: BodyBudget | undefined,
	onEnd?: () => void,
): BodyStream {
	const coder = recoding === "gzip" ? createGzip({ level }) : createGunzip();
	let over = false;
	const end = () => {
		if (over) return;
		over = true;
		source.leave(reader);
		target.settle();
		onEnd?.();
	};
	const target = new BodyStream(
		false,
		{
			pauseBody: () => void coder.pause(),
			resumeBody: () => void coder.resume(),
			abandonBody: () => {
				coder.destroy();
				target.fail();
				end();
			},
		},
		budget,
	);
	let said = false;
	const reader: BodyReader = {
		onBody() {
			while (!said && coder.writableLength <= WAITING_BYTES) {
				const piece = source.take(reader);
				if (piece === undefined) break;
				coder.write(piece);
			}
			if (source.state === "failed") coder.destroy(new Error("its source failed"));
			else if (!said && source.state === "whole" && source.drained(reader)) {
				said = true;
				if (source.bytes > 0) coder.end();
				else {
					target.finish();
					end();
				}
			}
		},
	};
	coder.on("drain", () => reader.onBody());
	coder.on("data", (bytes: Buffer) => target.push(bytes));
	coder.on("end", () => {
		target.finish();
		end();
	});
	coder.on("error", () => {
		target.fail();
		end();
	});
	source.join(reader);
	reader.onBody();
	return target;
}

/** A body that is there, as a stream; the bytes are used until it has been read. */
export function streamOf(bytes: Uint8Array): BodyStream {
	const stream = new BodyStream(true);
	for (let at = 0; at < bytes.length; at += PIECE_BYTES) stream.push(bytes.subarray(at, at + PIECE_BYTES));
	stream.finish();
	return stream;
}
