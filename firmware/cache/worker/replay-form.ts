/** An answered hit as a form: the bytes of its answer and of its log records (log-form.ts). */
import { digitsOf, putDigits } from "../log/digits.ts";
import { type Facts, LogForm, type LoggedRecord, type Run, xVarnishLine, zeros } from "./log-form.ts";

/** What is known of the answer whatever the numbers are. */
export interface Template {
	readonly records: readonly LoggedRecord[];
	/** The head of the answer around X-Varnish's first number and Age's: as sent, with the facts' numbers in it. */
	readonly head: string;
	readonly facts: Facts;
	/** What follows the head; empty when the body leaves from the store. */
	readonly body: Uint8Array;
	readonly bodyBytes: number;
}

export class Form {
	/** Head, and the body if it is kept here. */
	readonly answer: Uint8Array;
	readonly headBytes: number;
	/** Records as they go into the ring, the session's Link ahead of the transaction's batch. */
	readonly log: LogForm;
	readonly #transactionAt: number;
	readonly #transactionDigits: number;
	readonly #ageAt: number;
	readonly #ageDigits: number;
	#age = -1;

	constructor(template: Template, run: Run) {
		const { facts, bodyBytes } = template;
		this.#transactionDigits = digitsOf(run.transaction);
		this.#ageDigits = digitsOf(run.age);
		const xVarnish = `${zeros(this.#transactionDigits)} ${facts.objectTransaction}`;
		const ageZeros = zeros(this.#ageDigits);
		let head = template.head;
		const varnishAt = lineAt(head, xVarnishLine(facts.transaction, facts.objectTransaction));
		if (varnishAt >= 0) head = replaceLine(head, varnishAt, `X-Varnish: ${xVarnish}`);
		const ageAt = lineAt(head, `Age: ${facts.age}`);
		if (ageAt >= 0) head = replaceLine(head, ageAt, `Age: ${ageZeros}`);
		this.#transactionAt = lineAt(head, `X-Varnish: ${xVarnish}`);
		if (this.#transactionAt >= 0) this.#transactionAt += "X-Varnish: ".length;
		this.#ageAt = lineAt(head, `Age: ${ageZeros}`);
		if (this.#ageAt >= 0) this.#ageAt += "Age: ".length;
		this.headBytes = head.length;
		this.answer = new Uint8Array(head.length + template.body.length);
		this.answer.set(Buffer.from(head, "latin1"));
		this.answer.set(template.body, head.length);
		this.log = new LogForm(template.records, run, {
			objectTransaction: facts.objectTransaction,
			headBytes: head.length,
			bodyBytes,
		});
	}

	/** Puts the numbers of a run into the answer, and into the log those that are known before it is sent. */
	fill(run: Run, beganMicros: number): void {
		const { transaction, age } = run;
		if (this.#transactionAt >= 0)
			putDigits(this.answer, this.#transactionAt, transaction, this.#transactionDigits);
		if (age !== this.#age) {
			this.#age = age;
			if (this.#ageAt >= 0) putDigits(this.answer, this.#ageAt, age, this.#ageDigits);
		}
		this.log.fill(run, beganMicros);
	}
}

/** Where a header line starts that reads exactly so; -1 when there is none. */
function lineAt(head: string, line: string): number {
	const at = head.indexOf(`\r\n${line}\r\n`);
	return at < 0 ? -1 : at + 2;
}

function replaceLine(head: string, at: number, line: string): string {
	return head.slice(0, at) + line + head.slice(head.indexOf("\r\n", at));
}
