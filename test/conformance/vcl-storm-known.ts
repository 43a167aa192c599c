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
		what: /^body: varnishd 6 bytes, Drover 0|alone has "Content-Length: [06]"/,
		statement: /synthetic\(/,
		why: "a text that is not set is written as (null) there",
	},
	{
		what: /, \d\d \w+ \d{5,} /,
		statement: /./,
		why: "a date of more than 29 characters is cut there",
	},
	{
		what: /alone has "[^"]*:[A-Za-z0-9+/]*[qr][A-Za-z0-9+/]*=*:/,
		statement: /blob|:|hash/,
		why: "the base64 alphabet of varnishd's BLOBs as text has q and r in each other's place",
	},
	{
		what: /^(status|connection|origin)/,
		statement: /BASE64/,
		why: "one lone character, or padding in the wrong place, is decoded to something there, and is a failure here",
	},
	{
		what: /^(answers|connection|origin)/,
		statement: /blob\.sub\(\(*blob\.sub/,
		why: "varnishd dies of parts of an empty BLOB",
	},
	{
		what: /^status: varnishd "HTTP\/1\.[02] /,
		statement: /resp\.proto =/,
		why: "an answer is HTTP/1.1, whatever VCL 4.0 calls it",
	},
];

export function whyOtherwise(what: string, statements: string): string | undefined {
	return known.find((each) => each.what.test(what) && each.statement.test(statements))?.why;
}
