/**
 * The agent: SNMP v2c and v3 in, answers from the view out. The library does the messages
 * and the security model (RFC 3414); what is answered, and to whom, is decided here.
 * Read-only: a SET is refused with notWritable.
 */
import type { EventEmitter } from "node:events";
import snmp from "net-snmp";
import { inNetwork } from "../../wire/ip-network.ts";
import { type Addressed, addressedEngine, discovery } from "./addressed-engine.ts";
import { type Instance, type Oid, parseOid, type Value, type View } from "./view.ts";

/** GETBULK answers stay below this, so that they fit one unfragmented datagram. */
export const RESPONSE_LIMIT_BYTES = 1400;
export const REPETITIONS_LIMIT = 100;
const VARBINDS_LIMIT = 128;
/** What asks for more at once is told tooBig. */
const GET_RESPONSE_LIMIT_BYTES = 8192;
/** Version, community or security parameters around the variable bindings, at most. */
const ENVELOPE_BYTES = 200;
/** Questions that wait for a look at the box; more are dropped, as a full socket would. */
export const WAITING_LIMIT = 256;

export interface AgentUser {
	readonly name: string;
	readonly auth: "sha" | "sha256";
	readonly authPassword: string;
	readonly privacy: "aes" | "aes256";
	readonly privacyPassword: string;
}

export interface AgentOptions {
	readonly address: string;
	readonly port: number;
	readonly engineId: Uint8Array;
	/** Raised and stored before the agent starts (RFC 3414 §2.2). */
	readonly engineBoots: number;
	readonly communities: readonly string[];
	readonly users: readonly AgentUser[];
	/** Networks that may ask, as "192.0.2.0/24" or an address; empty is nobody. */
	readonly sources: readonly string[];
	/** snmpEngineTime: seconds since the engine's start. */
	readonly engineSeconds: () => number;
	/** The view to answer from, refreshed by the caller. */
	readonly view: () => Promise<View>;
	/** Wrong community, user or password: for authenticationFailure. */
	readonly onRefused: (from: string, why: string) => void;
}

/** What the library hands to a request handler; its own types do not cover it. */
interface Request {
	readonly version: number;
	readonly user: { readonly name: string };
	/** What the other side can take, of version 3. */
	readonly msgGlobalData?: { readonly msgMaxSize: number };
	readonly msgSecurityParameters?: {
		readonly msgAuthoritativeEngineBoots: number;
		readonly msgAuthoritativeEngineTime: number;
	};
	/** RFC 3412 §6.4: whether a report may be sent for it. */
	isReportable(): unknown;
	createReportResponseMessage(engine: object, context: string, errorType: number): Report;
	readonly pdu: {
		varbinds: { oid: string }[];
		readonly nonRepeaters: number;
		readonly maxRepetitions: number;
		getResponsePduForRequest(): { varbinds: unknown[]; errorStatus: number; errorIndex: number };
	};
}
/** A message of the library's with a report in it. */
interface Report {
	user: object;
	readonly pdu: { readonly type: number; readonly varbinds: { oid: string }[] };
	readonly msgGlobalData: { msgFlags: number };
	readonly msgSecurityParameters: { msgUserName: string };
}
interface Sender {
	readonly address: string;
	readonly port: number;
}
interface LibraryAgent {
	readonly engine: { engineBoots: number; engineTime: number; engineID: Buffer };
	readonly listener: {
		readonly sockets: Readonly<Record<string, EventEmitter>>;
		send(message: Report, ...rest: unknown[]): void;
	};
	getRequest(socket: unknown, request: Request, from: Sender): void;
	getNextRequest(socket: unknown, request: Request, from: Sender): void;
	getBulkRequest(socket: unknown, request: Request, from: Sender): void;
	setRequest(socket: unknown, request: Request, from: Sender): void;
	sendResponse(socket: unknown, from: Sender, request: Request, response: unknown): void;
	getAuthorizer(): { addCommunity(name: string): void; addUser(user: object): void };
	close(done: () => void): void;
}

/** SNMPv2 error-status (RFC 3416 §3). */
const TOO_BIG = 1;
const NOT_WRITABLE = 17;

/** usmStats (RFC 3414 §5) of reports that mean a refusal; the others are how an engine is discovered. */
const UNKNOWN_USER = "1.3.6.1.6.3.15.1.1.3.0";
const REFUSALS: Readonly<Record<string, string>> = {
	[UNKNOWN_USER]: "an unknown user",
	"1.3.6.1.6.3.15.1.1.5.0": "a wrong password",
};

/** RFC 3414 §3.2 step 7: seconds that a message's time may be off. */
export const TIME_WINDOW_SECONDS = 150;
const NOT_IN_TIME_WINDOW = 2;
const UNKNOWN_USER_NAME = 3;
/** RFC 3412 §6.4: msgFlags of authNoPriv. */
const AUTHENTICATED = 1;

/** Starts the agent. The returned function stops it. */
export function startAgent(options: AgentOptions): () => void {
	/** Whose message is being looked at. */
	let asking: string | null = null;
	const agent = snmp.createAgent(
		{
			port: options.port,
			address: options.address,
			transport: options.address.includes(":") ? "udp6" : "udp4",
			engineID: Buffer.from(options.engineId).toString("hex"),
			disableAuthorization: false,
			accessControlModelType: 0,
		} as never,
		(error: Error | null) => {
			// Garbage is no attempt to get in.
			if (
				error !== null &&
				asking !== null &&
				["RequestFailedError", "ResponseInvalidError"].includes(error.name)
			)
				options.onRefused(asking, "a wrong community or password");
		},
	) as unknown as LibraryAgent;
	agent.engine.engineBoots = options.engineBoots;
	// The library's own clock stands still.
	Object.defineProperty(agent.engine, "engineTime", { get: options.engineSeconds });
	const authorizer = agent.getAuthorizer();
	for (const community of options.communities) authorizer.addCommunity(community);
	for (const user of options.users) authorizer.addUser(libraryUser(user));

	/**
	 * Version 2c with a community that the library has found, or version 3 as RFC 3414 §3.2 wants it in its steps 4
	 * and 7, which the library leaves out: a recorded question, or one that names no user, gets a report at most.
	 */
	const isDue = (socket: unknown, request: Request, from: Sender): boolean => {
		if (request.version === snmp.Version2c) return true;
		const said = request.msgSecurityParameters;
		if (request.version !== snmp.Version3 || said === undefined) return false;
		const report = (usmStatistic: number) => {
			const message = request.createReportResponseMessage(agent.engine, "", usmStatistic);
			// Only an authenticated report may set the other side's clock.
			if (usmStatistic === NOT_IN_TIME_WINDOW) {
				message.user = { ...request.user, level: snmp.SecurityLevel.authNoPriv };
				message.msgGlobalData.msgFlags = AUTHENTICATED;
				message.msgSecurityParameters.msgUserName = request.user.name;
			}
			if (request.isReportable()) agent.listener.send(message, from, socket);
		};
		// The library takes nobody for a user without a password.
		if (request.user.name === "") {
			if (!request.isReportable()) options.onRefused(from.address, REFUSALS[UNKNOWN_USER]!);
			report(UNKNOWN_USER_NAME);
			return false;
		}
		const { engineBoots, engineTime } = agent.engine;
		const isNow =
			said.msgAuthoritativeEngineBoots === engineBoots &&
			Math.abs(said.msgAuthoritativeEngineTime - engineTime) <= TIME_WINDOW_SECONDS;
		if (!isNow) report(NOT_IN_TIME_WINDOW);
		return isNow;
	};

	let waiting = 0;
	const answer = async (
		socket: unknown,
		request: Request,
		from: Sender,
		read: (view: View, limitBytes: number) => unknown[] | null,
	) => {
		waiting++;
		try {
			if (!isDue(socket, request, from) || waiting > WAITING_LIMIT) return;
			const view = await options.view();
			const response = request.pdu.getResponsePduForRequest();
			const room = Math.max(
				0,
				(request.msgGlobalData?.msgMaxSize ?? Number.POSITIVE_INFINITY) - ENVELOPE_BYTES,
			);
			const varbinds = request.pdu.varbinds.length > VARBINDS_LIMIT ? null : read(view, room);
			if (varbinds === null) response.errorStatus = TOO_BIG;
			else response.varbinds = varbinds;
			agent.sendResponse(socket, from, request, response);
		} catch {
			// The library reads numbers that it cannot write, such as a request-id over 32 bits.
		} finally {
			waiting--;
		}
	};
	const isMine = ({ engineId }: Addressed) =>
		engineId.length === 0 || Buffer.compare(engineId, options.engineId) === 0;
	// In front of the library, so that a foreign source does not even learn the engine's ID.
	for (const socket of Object.values(agent.listener.sockets)) {
		const handlers = socket.listeners("message") as ((message: Buffer, from: Sender) => void)[];
		socket.removeAllListeners("message");
		socket.on("message", (message: Buffer, from: Sender) => {
			if (!options.sources.some((network) => inNetwork(from.address, network))) {
				options.onRefused(from.address, "this source is not allowed");
				return;
			}
			let question = message;
			const addressed = addressedEngine(message);
			if (addressed === null) return;
			if (addressed !== "no engine" && !isMine(addressed)) {
				if (!addressed.reportable) return;
				// RFC 3414 §3.2 step 3: it is told the right one, and no more.
				question = Buffer.from(discovery(addressed.msgId));
			}
			asking = from.address;
			try {
				for (const handle of handlers) handle(question, from);
			} catch {
				// Likewise: a report with numbers of the question.
			}
			asking = null;
		});
	}
	const send = agent.listener.send;
	agent.listener.send = (message, ...rest) => {
		const why =
			message.pdu.type === snmp.PduType.Report ? REFUSALS[message.pdu.varbinds[0]?.oid ?? ""] : undefined;
		if (why !== undefined && asking !== null) options.onRefused(asking, why);
		send.call(agent.listener, message, ...rest);
	};
	agent.getRequest = (socket, request, from) =>
		answer(socket, request, from, (view, limitBytes) =>
			get(
				request.pdu.varbinds.map(({ oid }) => instance(view, parseOid(oid))),
				limitBytes,
			),
		);
	agent.getNextRequest = (socket, request, from) =>
		answer(socket, request, from, (view, limitBytes) =>
			get(
				request.pdu.varbinds.map(({ oid }) => next(view, parseOid(oid))),
				limitBytes,
			),
		);
	agent.getBulkRequest = (socket, request, from) =>
		answer(socket, request, from, (view, limitBytes) => bulk(view, request.pdu, limitBytes));
	agent.setRequest = (socket, request, from) => {
		if (!isDue(socket, request, from)) return;
		const response = request.pdu.getResponsePduForRequest();
		response.varbinds = request.pdu.varbinds;
		response.errorStatus = NOT_WRITABLE;
		response.errorIndex = 1;
		agent.sendResponse(socket, from, request, response);
	};
	return () => agent.close(() => {});
}

/** As the library takes it, for the agent and for notifications. */
export function libraryUser(user: AgentUser): object {
	return {
		name: user.name,
		level: snmp.SecurityLevel.authPriv,
		authProtocol: user.auth === "sha256" ? snmp.AuthProtocols.sha256 : snmp.AuthProtocols.sha,
		authKey: user.authPassword,
		privProtocol: user.privacy === "aes256" ? snmp.PrivProtocols.aes256r : snmp.PrivProtocols.aes,
		privKey: user.privacyPassword,
	};
}

interface Step {
	readonly oid: Oid;
	readonly varbind: object;
	readonly bytes: number;
	readonly end: boolean;
}

/** All of them, or null when they are too much for one answer. */
function get(steps: readonly Step[], limitBytes: number): unknown[] | null {
	const size = steps.reduce((sum, { bytes }) => sum + bytes, 0);
	return size > Math.min(GET_RESPONSE_LIMIT_BYTES, limitBytes) ? null : steps.map((step) => step.varbind);
}

function instance(view: View, oid: Oid): Step {
	const found = view.get(oid);
	if (found !== null) return { oid, varbind: varbind(found), bytes: encodedBytes(found), end: false };
	return nothing(oid, view.hasObject(oid) ? snmp.ObjectType.NoSuchInstance : snmp.ObjectType.NoSuchObject);
}

const nothing = (oid: Oid, type: number): Step => ({
	oid,
	varbind: { oid: oid.join("."), type, value: null },
	bytes: oid.length * 5 + 8,
	end: true,
});

function next(view: View, oid: Oid): Step {
	const found = view.next(oid);
	if (found === null) return nothing(oid, snmp.ObjectType.EndOfMibView);
	return { oid: found.oid, varbind: varbind(found), bytes: encodedBytes(found), end: false };
}

/** RFC 3416 §4.2.3, ended early when the answer would not fit one datagram; null when not even its first row fits. */
function bulk(view: View, pdu: Request["pdu"], limitBytes: number): unknown[] | null {
	const heads = pdu.varbinds.map(({ oid }) => parseOid(oid));
	const nonRepeaters = Math.max(0, Math.min(pdu.nonRepeaters, heads.length));
	const first = heads.slice(0, nonRepeaters).map((oid) => next(view, oid));
	const varbinds = get(first, limitBytes);
	let row = heads.slice(nonRepeaters);
	let size = first.reduce((sum, { bytes }) => sum + bytes, 0);
	if (varbinds === null) return null;
	for (let count = 0; count < Math.min(pdu.maxRepetitions, REPETITIONS_LIMIT) && row.length > 0; count++) {
		const steps = row.map((oid) => next(view, oid));
		size += steps.reduce((sum, { bytes }) => sum + bytes, 0);
		if (size > Math.min(count > 0 ? RESPONSE_LIMIT_BYTES : GET_RESPONSE_LIMIT_BYTES, limitBytes))
			return count > 0 ? varbinds : null;
		varbinds.push(...steps.map((step) => step.varbind));
		if (steps.every(({ end }) => end)) break;
		row = steps.map(({ oid }) => oid);
	}
	return varbinds;
}

/** A close upper bound of a variable binding's length in BER. */
function encodedBytes({ oid, value }: Instance): number {
	const parts = oid.reduce((sum, part) => sum + (part < 128 ? 1 : part < 16384 ? 2 : 5), 0);
	const content =
		value.type === "OctetString"
			? value.value.length
			: value.type === "ObjectIdentifier"
				? value.value.length * 2
				: 9;
	return parts + content + 10;
}

/** An instance as the library encodes it. */
export function varbind({ oid, value }: Instance): { oid: string; type: number; value: unknown } {
	return { oid: oid.join("."), type: typeNumber(value), value: libraryValue(value) };
}

function typeNumber(value: Value): number {
	switch (value.type) {
		case "Integer32":
			return snmp.ObjectType.Integer;
		case "Unsigned32":
			return snmp.ObjectType.Gauge;
		case "Counter32":
			return snmp.ObjectType.Counter;
		case "Counter64":
			return snmp.ObjectType.Counter64;
		case "TimeTicks":
			return snmp.ObjectType.TimeTicks;
		case "OctetString":
			return snmp.ObjectType.OctetString;
		case "ObjectIdentifier":
			return snmp.ObjectType.OID;
	}
}

function libraryValue(value: Value): unknown {
	switch (value.type) {
		case "Counter64": {
			const octets = Buffer.alloc(8);
			octets.writeBigUInt64BE(BigInt.asUintN(64, value.value));
			return octets;
		}
		case "OctetString":
			return Buffer.from(value.value);
		case "ObjectIdentifier":
			return value.value.join(".");
		default:
			return value.value;
	}
}
