/** The clients of one side of a storm who speak HTTP/2: each request on a stream of its own, one after the other. */
import { connect } from "node:net";
import { block, data, headers } from "../cache/http2/client.ts";
import { Client } from "../cache/http2/live-client.ts";
import type { Exchange, ReceivedAnswer } from "./http-storm-client.ts";
import type { Played } from "./http-storm-compare.ts";
import { headField, pathOf, stamped } from "./http-storm-origin.ts";
import type { PlannedRequest, Scenario } from "./http-storm-plan.ts";

const ANSWER_LIMIT_MS = 3000;
/** RFC 9113 §8.2.2: fields of an HTTP/1 connection, on either side. */
const ofConnection = /^(?:connection|keep-alive|transfer-encoding|upgrade|proxy-connection):/i;

const lowered = (field: string) => field.replace(/^[^:]*/, (name) => name.toLowerCase());

/** What was got over HTTP/1, or asked of an origin, as it would have been over HTTP/2: no reason, names in lower case. */
export function inHttp2Terms({ exchanges, asked }: Played): Played {
	const fieldsOf = (fields: readonly string[]) =>
		fields.filter((field) => !ofConnection.test(field)).map(lowered);
	return {
		exchanges: exchanges.map(({ answers, end }) => ({
			answers: answers.map((answer) => ({
				...answer,
				status: answer.status.replace(/^(\S+ \d+ ).*/, "$1"),
				fields: fieldsOf(answer.fields),
			})),
			// An error ends a connection of HTTP/1, and a stream here.
			end: end === "closed" ? "open" : end,
		})),
		asked: asked.map((request) => ({
			...request,
			fields: fieldsOf(request.fields).filter((field) => !field.startsWith("scheme:")),
		})),
	};
}

/** A scenario for HTTP/1 as it is played over HTTP/2: one request after the other, and none is piped. */
export const oneByOne = (scenario: Scenario): Scenario => ({
	...scenario,
	requests: scenario.requests
		.filter(({ method }) => method !== "PURGE")
		.map((request) => ({
			...request,
			protocol: "HTTP/1.1",
			pipelined: false,
			fields: request.fields.filter((field) => !ofConnection.test(field)),
		})),
});

/** The frames of a request on that stream. */
function requestFrames(request: PlannedRequest, stream: number, id: string, nowSeconds: number): string {
	const { body, chunked, method, resource } = request;
	const fields = request.fields
		.filter((field) => !ofConnection.test(field))
		.map((field) => stamped(field, nowSeconds));
	const pairs = fields
		.filter((field) => !/^host:/i.test(field))
		.map((field) => {
			const at = field.indexOf(":");
			return [field.slice(0, at).toLowerCase(), field.slice(at + 1).trim()] as const;
		});
	if (body !== undefined && !chunked) pairs.push(["content-length", String(body.length)]);
	const list = block(
		[":method", method],
		[":scheme", "http"],
		[":path", pathOf(id, resource)],
		[":authority", headField(request.fields, "host") ?? ""],
		...pairs,
	);
	return headers(stream, body === undefined, list) + (body === undefined ? "" : data(stream, body, true));
}

/** Plays a scenario against the cache at that port: what is pipelined over HTTP/1 comes one by one here. */
export async function playHttp2(
	port: number,
	id: string,
	scenario: Scenario,
	nowSeconds: number,
): Promise<readonly Exchange[]> {
	const exchanges: Exchange[] = [];
	let client: Client | undefined;
	let stream = 1;
	for (const request of scenario.requests) {
		if (client === undefined || client.closed || request.fresh) {
			client?.socket.destroy();
			client = new Client(connect(port, "127.0.0.1"));
			stream = 1;
		}
		client.send(requestFrames(request, stream, id, nowSeconds));
		const limit = performance.now() + ANSWER_LIMIT_MS;
		while (!client.ended(stream) && !client.closed && performance.now() < limit) await Bun.sleep(1);
		const status = client.field(stream, ":status");
		const answer: ReceivedAnswer = {
			status: `HTTP/1.1 ${status} `,
			fields: client
				.fields(stream)
				.filter(([name]) => !name.startsWith(":"))
				.map(([name, value]) => `${name}: ${value}`),
			body: client.body(stream).toString("latin1"),
			whole: client.ended(stream) && !client.reset(stream),
		};
		exchanges.push({
			answers: status === undefined ? [] : [answer],
			end: client.closed ? "closed" : client.ended(stream) ? "open" : "silent",
		});
		stream += 2;
	}
	client?.socket.destroy();
	return exchanges;
}
