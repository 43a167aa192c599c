/** The messages that VCL reads and writes. Every change is logged with the tags of its side. */
import type { FieldList } from "../http/headers.ts";
import { fieldKey, lineValue } from "../http/headers.ts";
import { reasonPhrase } from "../http/status.ts";
import { hasControl } from "../http/syntax.ts";
import { Tag } from "../log/tags.ts";
import type { TransactionLog } from "../log/transaction-log.ts";
import { type RequestMessage, type ResponseMessage, VclFailure } from "../vcl/runtime.ts";

/** Log tags of one kind of message: req, bereq, beresp or resp. */
export interface MessageTags {
	readonly method: number;
	readonly url: number;
	readonly protocol: number;
	readonly status: number;
	readonly reason: number;
	readonly header: number;
	readonly unset: number;
}

const tags = (first: number): MessageTags => ({
	method: first,
	url: first + 1,
	protocol: first + 2,
	status: first + 3,
	reason: first + 4,
	header: first + 5,
	unset: first + 6,
});

export const reqTags = tags(Tag.ReqMethod);
export const respTags = tags(Tag.RespMethod);
export const bereqTags = tags(Tag.BereqMethod);
export const berespTags = tags(Tag.BerespMethod);

abstract class Message {
	fields: FieldList;
	protected readonly log: TransactionLog;
	protected readonly tags: MessageTags;

	constructor(fields: FieldList, log: TransactionLog, tags: MessageTags) {
		this.fields = fields;
		this.log = log;
		this.tags = tags;
	}

	header(lowerName: string): string | null {
		return this.fields.get(lowerName) ?? null;
	}

	/** Fails the VCL when `value` would end the line: what follows would be a header, or a message, of its own. */
	setHeader(lowerName: string, name: string, value: string): void {
		if (hasControl(value)) throw new VclFailure(`Bad header ${name}: ${value}`);
		this.unsetHeader(lowerName);
		this.appendHeader(lowerName, name, value);
	}

	setLine(lowerName: string, line: string): void {
		this.unsetHeader(lowerName);
		this.fields.appendLine(line, lowerName);
		this.log.add(this.tags.header, line);
	}

	appendHeader(lowerName: string, name: string, value: string): void {
		const line = `${name}: ${value}`;
		this.fields.appendLine(line, lowerName);
		this.log.add(this.tags.header, line);
	}

	unsetHeader(lowerName: string): void {
		const { fields, log, tags } = this;
		if (!fields.has(lowerName)) return;
		const { keys, lines } = fields;
		for (let index = 0; index < keys.length; index++)
			if (keys[index] === lowerName) log.add(tags.unset, lines[index]!);
		fields.unset(lowerName);
	}

	collectHeader(lowerName: string, separator: string): void {
		const value = this.fields.joined(lowerName, separator);
		if (value === undefined || this.fields.countOf(lowerName) < 2) return;
		const index = this.fields.keys.indexOf(lowerName);
		const name = this.fields.lines[index]!.slice(0, lowerName.length);
		this.setHeader(lowerName, name, value);
	}

	headerList(): readonly { readonly name: string; readonly value: string }[] {
		return this.fields.lines.map((line, index) => {
			const { length } = this.fields.keys[index]!;
			return { name: line.slice(0, length), value: lineValue(line, length) };
		});
	}
}

export class RequestFields extends Message implements RequestMessage {
	#method: string;
	#url: string;
	#proto: string;

	constructor(
		method: string,
		url: string,
		proto: string,
		fields: FieldList,
		log: TransactionLog,
		tags: MessageTags,
	) {
		super(fields, log, tags);
		this.#method = method;
		this.#url = url;
		this.#proto = proto;
	}

	get method(): string {
		return this.#method;
	}
	set method(method: string) {
		this.#method = method;
		this.log.add(this.tags.method, method);
	}
	get url(): string {
		return this.#url;
	}
	set url(url: string) {
		this.#url = url;
		this.log.add(this.tags.url, url);
	}
	get proto(): string {
		return this.#proto;
	}
	set proto(proto: string) {
		this.#proto = proto;
		this.log.add(this.tags.protocol, proto);
	}

	/** Back to a message as it was received (std.rollback). */
	protected restore(method: string, url: string, proto: string, fields: FieldList): void {
		this.#method = method;
		this.#url = url;
		this.#proto = proto;
		this.fields = fields;
	}

	/** Logs the whole message, as after its receipt; `known` are the records of its first `count` fields. */
	logAll(known = "", count = 0): void {
		const { log, tags } = this;
		log.add(tags.method, this.#method);
		log.add(tags.url, this.#url);
		log.add(tags.protocol, this.#proto);
		log.addText(known);
		const { lines } = this.fields;
		for (let index = count; index < lines.length; index++) log.add(tags.header, lines[index]!);
	}
}

export class ResponseFields extends Message implements ResponseMessage {
	#status: number;
	#reason: string;
	#proto: string;

	constructor(
		status: number,
		reason: string,
		proto: string,
		fields: FieldList,
		log: TransactionLog,
		tags: MessageTags,
	) {
		super(fields, log, tags);
		this.#status = status;
		this.#reason = reason;
		this.#proto = proto;
	}

	get status(): number {
		return this.#status;
	}
	setStatus(status: number): void {
		this.#status = status;
		this.log.add(this.tags.status, String(status));
		this.reason = reasonPhrase(status);
	}
	get reason(): string {
		return this.#reason;
	}
	set reason(reason: string) {
		this.#reason = reason;
		this.log.add(this.tags.reason, reason);
	}
	get proto(): string {
		return this.#proto;
	}
	set proto(proto: string) {
		this.#proto = proto;
		this.log.add(this.tags.protocol, proto);
	}

	/** Adds a field and logs it. */
	append(name: string, value: string): void {
		this.appendHeader(fieldKey(name), name, value);
	}

	logStart(): void {
		const { log, tags } = this;
		log.add(tags.protocol, this.#proto);
		log.add(tags.status, String(this.#status));
		log.add(tags.reason, this.#reason);
	}

	logAll(): void {
		this.logStart();
		for (const line of this.fields.lines) this.log.add(this.tags.header, line);
	}
}
