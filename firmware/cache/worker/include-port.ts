/** What a request for a part of a page takes for its connection: the page's own, of which it sees no byte. */
import { record } from "../log/records.ts";
import { Tag } from "../log/tags.ts";
import type { Connection, Session } from "../vcl/runtime.ts";
import type { Answering, ClientPort, Included } from "./client-port.ts";
import type { Engine } from "./engine.ts";

export class IncludePort implements ClientPort {
	readonly engine: Engine;
	readonly xid: number;
	readonly connection: Connection;
	readonly settings: Session;
	readonly headBytes = 0;
	readonly beginRecord: string;
	readonly clientRecord: string;
	readonly transport: ClientPort["transport"];
	readonly learning = false;
	readonly local: boolean;
	readonly administrative = false;
	/** What becomes of the connection is the page's to say. */
	readonly willClose = false;
	readonly blocked = false;
	readonly room = Number.POSITIVE_INFINITY;
	readonly socket: ClientPort["socket"];
	onPipeEnd: (() => void) | undefined;
	readonly included: Included;
	readonly #page: ClientPort;
	#task: Answering | undefined;
	#done: (() => void) | undefined;

	/** `pageXid`: transaction of the page's request; `done` is called when that for the part has been answered. */
	constructor(page: ClientPort, pageXid: number, included: Included, done: () => void) {
		this.#page = page;
		this.#done = done;
		this.included = included;
		this.engine = page.engine;
		this.xid = page.xid;
		this.transport = page.transport;
		this.connection = page.connection;
		this.settings = page.settings;
		this.clientRecord = page.clientRecord;
		this.local = page.local;
		this.socket = page.socket;
		this.beginRecord = record(Tag.Begin, `req ${pageXid} esi`);
	}

	/** The client has gone, or wants nothing more of the page. */
	abandon(): void {
		this.#done = undefined;
		this.#task?.abandon();
	}

	replaceTask(task: Answering): void {
		this.#task = task;
	}

	readonly unsentBytes = 0;

	afterSending(done: () => void): void {
		done();
	}

	taskDone(task: Answering): void {
		if (this.#task !== task) return;
		this.#task = undefined;
		const done = this.#done;
		this.#done = undefined;
		done?.();
	}

	cork(work: () => void): void {
		this.#page.cork(work);
	}

	startRecords(vclName: string): string {
		return this.#page.startRecords(vclName);
	}

	learn(): void {}
	closeAfter(): void {}
	emit(_head: string, _body: Uint8Array | undefined, release?: () => void): void {
		release?.();
	}
	headText(): string {
		return "";
	}
	sayContinue(): void {}
	takeOver(): void {}
	abort(): void {}
	finish(): void {}
}
