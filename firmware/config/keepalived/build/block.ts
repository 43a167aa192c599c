/** A block's settings by name. The last one of a name holds, as in keepalived. */
import type { Statement } from "../statement.ts";

export class Settings {
	readonly body: readonly Statement[];

	constructor(body: readonly Statement[]) {
		this.body = body;
	}

	/** The last setting of this name, or of either name when a keyword has an alias. */
	last(name: string, alias = name): Statement | null {
		for (let index = this.body.length - 1; index >= 0; index--) {
			const found = this.body[index]!.keyword.name;
			if (found === name || found === alias) return this.body[index]!;
		}
		return null;
	}

	first(name: string): Statement | null {
		return this.body.find((statement) => statement.keyword.name === name) ?? null;
	}

	all(...names: readonly string[]): Statement[] {
		return this.body.filter((statement) => names.includes(statement.keyword.name));
	}

	has(name: string): boolean {
		return this.last(name) !== null;
	}

	/** Integer, or microseconds. */
	number(name: string): number | null {
		return this.last(name)?.number ?? null;
	}

	boolean(name: string): boolean | null {
		const statement = this.last(name);
		return statement === null ? null : statement.number !== 0;
	}

	word(name: string): string | null {
		return this.last(name)?.words[0] ?? null;
	}
}
