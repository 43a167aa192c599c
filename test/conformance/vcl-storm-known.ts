/** Where Drover's VCL is otherwise than that of varnishd 7.1 on purpose, and why: what a storm of VCL does not report. */

interface Known {
	readonly what: RegExp;
	/** Some statement of the request's cell. */
	readonly statement: RegExp;
	readonly why: string;
}

const known: readonly Known[] = [
	{
		what: /Drover alone has "Connection: close"/,
		statement: /vcl_synth/,
		why: "when vcl_synth fails the connection ends there with varnishd, too, which does not say so",
	},
	{
		what: /, \d\d \w+ \d{5,} /,
		statement: /./,
		why: "a date of more than 29 characters is cut there",
	},
];

export function whyOtherwise(what: string, statements: string): string | undefined {
	return known.find((each) => each.what.test(what) && each.statement.test(statements))?.why;
}
