/** What a record says of a name that a person chose: it may be "constructor" or "__proto__", which every object has. Pure. */
export const named = <Value>(record: Readonly<Record<string, Value>>, name: string): Value | undefined =>
	Object.hasOwn(record, name) ? record[name] : undefined;
