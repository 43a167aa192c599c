/**
 * Servers that answer as they are told, for checks to judge: run inside a namespace, told on standard input.
 * Each line is a `Roles` record: what stands on which port from now on. Connections of the time before are reset.
 * Prints "ready" after each.
 */
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import type { Socket, TCPSocketListener } from "bun";

/** One thing after the other; bytes are base64. */
export type Step =
	| readonly ["write", string]
	/** The same bytes, so many times. */
	| readonly ["flood", string, number]
	/** One byte every so many milliseconds. */
	| readonly ["drip", string, number]
	| readonly ["wait", number]
	| readonly ["end"]
	| readonly ["reset"];

/** What is done on a connection: first at once, then at each `delimiter` that has come in. */
export type Part = readonly (readonly Step[])[];

export type Role =
	| { readonly kind: "closed" }
	| {
			readonly kind: "stream";
			readonly tls: "none" | "good" | "expired";
			readonly delimiter: string;
			/** One connection after the other, of each client and each path by itself, and around again. */
			readonly parts: readonly Part[];
	  }
	/** Replies, one datagram after the other: bytes, or the question itself changed as DNS does it, or none. */
	| { readonly kind: "datagram"; readonly replies: readonly (string | { readonly dns: number } | null)[] };

export interface Roles {
	readonly ports: Readonly<Record<number, Role>>;
}

interface Visit {
	client: string;
	heard: string;
	part: Part | null;
	stage: number;
	gone: boolean;
	drained: (() => void) | null;
	chain: Promise<void>;
}

interface Place {
	role: Role;
	listener: TCPSocketListener<Visit> | null;
	datagrams: DatagramSocket | null;
	turns: Map<string, number>;
	open: Set<Socket<Visit>>;
}

if (import.meta.main) {
	const folder = process.argv[2]!;
	const material = (name: string) => ({
		cert: readFileSync(`${folder}/${name}.pem`, "utf8"),
		key: readFileSync(`${folder}/${name}.key`, "utf8"),
	});
	const places = new Map<number, Place>();

	const write = async (socket: Socket<Visit>, bytes: Uint8Array) => {
		const visit = socket.data;
		let sent = 0;
		while (sent < bytes.length && !visit.gone) {
			const took = socket.write(bytes.subarray(sent));
			if (took < 0) return;
			sent += took;
			if (sent < bytes.length)
				await new Promise<void>((resolve) => {
					visit.drained = resolve;
				});
		}
	};
	const perform = async (socket: Socket<Visit>, steps: readonly Step[]) => {
		for (const step of steps) {
			if (socket.data.gone) return;
			switch (step[0]) {
				case "write":
					await write(socket, Buffer.from(step[1], "base64"));
					break;
				case "flood": {
					const bytes = Buffer.from(step[1], "base64");
					for (let count = 0; count < step[2] && !socket.data.gone; count++) await write(socket, bytes);
					break;
				}
				case "drip":
					for (const byte of Buffer.from(step[1], "base64")) {
						if (socket.data.gone) return;
						await write(socket, Uint8Array.of(byte));
						await Bun.sleep(step[2]);
					}
					break;
				case "wait":
					await Bun.sleep(step[1]);
					break;
				case "end":
					socket.end();
					return;
				case "reset":
					socket.terminate();
					return;
			}
		}
	};
	const advance = (place: Place, socket: Socket<Visit>, path: string) => {
		const visit = socket.data;
		if (place.role.kind !== "stream") return;
		if (visit.part === null) {
			const { parts } = place.role;
			const turn = `${visit.client} ${path}`;
			const count = place.turns.get(turn) ?? 0;
			place.turns.set(turn, count + 1);
			visit.part = parts[count % parts.length]!;
		}
		const steps = visit.part[visit.stage++];
		if (steps !== undefined) visit.chain = visit.chain.then(() => perform(socket, steps));
	};
	const listen = (port: number, place: Place, role: Extract<Role, { kind: "stream" }>) => {
		const talksFirst = role.parts.some((part) => part[0]!.length > 0);
		place.listener = Bun.listen<Visit>({
			hostname: "0.0.0.0",
			port,
			...(role.tls === "none" ? {} : { tls: material(role.tls) }),
			socket: {
				open(socket) {
					socket.data = {
						client: socket.remoteAddress,
						heard: "",
						part: null,
						stage: 0,
						gone: false,
						drained: null,
						chain: Promise.resolve(),
					};
					place.open.add(socket);
					if (talksFirst) advance(place, socket, "");
				},
				data(socket, bytes) {
					const visit = socket.data;
					visit.heard += bytes.toString("latin1");
					for (;;) {
						const at = visit.heard.indexOf(role.delimiter);
						if (at < 0) return;
						const path = role.delimiter === "\n" ? "" : (visit.heard.split(" ", 2)[1] ?? "");
						visit.heard = visit.heard.slice(at + role.delimiter.length);
						if (!talksFirst && visit.part === null) visit.stage = 1;
						advance(place, socket, path);
					}
				},
				drain(socket) {
					socket.data.drained?.();
				},
				close(socket) {
					socket.data.gone = true;
					socket.data.drained?.();
					place.open.delete(socket);
				},
				error() {},
			},
		});
	};
	const answerDatagrams = (
		port: number,
		place: Place,
		{ replies }: Extract<Role, { kind: "datagram" }>,
	): Promise<void> =>
		new Promise((resolve) => {
			const socket = createSocket("udp4");
			place.datagrams = socket;
			socket.on("error", () => {});
			socket.on("message", (bytes, from) => {
				const count = place.turns.get(from.address) ?? 0;
				place.turns.set(from.address, count + 1);
				const reply = replies[count % replies.length]!;
				if (reply === null) return;
				if (typeof reply === "string") {
					socket.send(Buffer.from(reply, "base64"), from.port, from.address);
					return;
				}
				const back = Buffer.from(bytes);
				back.writeUInt16BE(reply.dns, 2);
				socket.send(back, from.port, from.address);
			});
			socket.bind(port, "0.0.0.0", () => resolve());
		});

	const take = async ({ ports }: Roles) => {
		for (const [text, role] of Object.entries(ports)) {
			const port = Number(text);
			let place = places.get(port);
			if (place === undefined) {
				place = { role, listener: null, datagrams: null, turns: new Map(), open: new Set() };
				places.set(port, place);
			}
			place.listener?.stop(false);
			place.datagrams?.close();
			place.listener = null;
			place.datagrams = null;
			place.role = role;
			place.turns = new Map();
			if (role.kind === "stream") listen(port, place, role);
			else if (role.kind === "datagram") await answerDatagrams(port, place, role);
			for (const socket of place.open) socket.terminate();
		}
		console.log("ready");
	};
	let rest = "";
	for await (const chunk of Bun.stdin.stream()) {
		const lines = (rest + new TextDecoder().decode(chunk)).split("\n");
		rest = lines.pop()!;
		for (const line of lines) await take(JSON.parse(line) as Roles);
	}
}
