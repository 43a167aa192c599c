/** The files of Varnish's own test suite that Drover does not pass, and why; as far as they hold for Varnish 7.1. */

/** What is not built says so itself, and so does what the clients of a file do against an RFC. */
const saysSo: readonly (readonly [said: RegExp, reason: string])[] = [
	[
		/:(?:method|scheme|path|authority) behind a header field/,
		"the client's pseudo-headers are behind others (RFC 9113 §8.3); passes with the debug bit h2_nocheck",
	],
	[
		/the first frame is not SETTINGS/,
		"the client begins without its settings (RFC 9113 §3.4); passes with the debug bit h2_nocheck",
	],
	[
		/import debug;|vtc\.(?:workspace_|typesize)/,
		"needs vmod debug or vtc's workspace functions, which are there for Varnish's own suite",
	],
];

const workspace =
	"states what happens when a workspace or the room for header fields is full: there are none here";
const strict = "bytes that RFC 9112 forbids, or a body that is not as long as it says, are refused here";
const allocator =
	"states sizes of Varnish's own memory: its allocator, its LRU list, its nuke_limit, its memory pools";
const threads = "states threads of Varnish's worker pools";
const rfc304 = "RFC 9111 §4.3.4: a 304 with another validator does not change that of the stored answer";

const reasons: readonly (readonly [reason: string, names: string])[] = [
	["there is no C here", "c00052 c00057 r00742"],
	[workspace, "r01807 r03410"],
	[strict, "b00069 c00039 c00040 f00001 r00494 r01419"],
	[
		allocator,
		"c00044 c00045 c00046 c00050 c00073 r01036 r01140 r01175 r01284 r01764 r01821 r02527 r02831 r02351 r01637 t02001 t02002 t02003",
	],
	[threads, "r01490 r01857 t02011"],
	[rfc304, "g00006 r01956 r03169"],
	["a Vary of 120 characters is stored here", "r01274"],
	["an absent header in synthetic() is nothing here, and the text (null) there", "r01287"],
	["a Range that is no byte range is ignored (RFC 9110 §14.2)", "r01660"],
	["an object is asked about only when all of it is stored", "r01648 r03089"],
	["places in a packed page are those of the unpacked one, and not of what is packed anew", "e00022"],
	["a page with tags may be a quarter of its storage", "r01941"],
	["a packed page without tags is kept as it came, there it is packed again", "e00028"],
	["the reason is in a FetchError record", "r01691"],
	["what one hash_data() feeds is one Hash record", "r01693"],
	["the client of a pipe whose backend is down is told 503", "r01730"],
	["numbers of transactions are given in another order", "r01762"],
	["a backend needs a host", "r01775"],
	["a pipe has a connection of its own", "r01806"],
	[
		"a worker is given its programs by no commands that its log could have before that of its start",
		"r01924",
	],
	["the client's pseudo-headers are behind others (RFC 9113 §8.3)", "t02012"],
	["a background fetch has the request's body where std.cache_req_body kept it", "r01927"],
	["X-Varnish is no field of a request that could choose a variant", "r02372"],
	["VCL_trace is not logged", "r02413"],
	["RFC 9111 decides what VCL leaves open; passes with the parameter rfc9111 off", "b00043 b00052"],
	["RFC 9110 §13.1.2: If-None-Match goes before Range, and compares weakly", "c00025"],
	["a Range that is none is ignored (RFC 9110 §14.2)", "c00034"],
	["a storage that is none is an empty text, and no text there", "c00078"],
	["VCL is compiled by who runs varnishd, and not by a user of a jail", "c00086"],
	["the manager's index keeps its lines at a stop", "c00083"],
	["the numbers that follow debug.srandom are the C library's", "d00004"],
	["the arguments of -j are not looked at: there are no jails", "j00003"],
	["blobs are compared by their bytes, there by their place in memory", "m00045"],
	["there are no locks to count", "u00005"],
	["counters are explained in words of our own", "u00008"],
	["there is no panic on purpose but debug.panic.worker", "t02004 v00010"],
	["an upgrade is named in Connection (RFC 9110 §7.8)", "r02937"],
	["a backend is asked with one BereqProtocol, that of its own connection", "r02291"],
	["where HTTP/2 is off its preface is answered with a 400", "t02013"],
	["the index has its room from the size of the storage; the largest object is smaller by that", "v00064"],
	["the Gzip record of such a fault is missing", "r03109"],
	["send_timeout ends a client that takes nothing, not one that takes it slowly", "r03189"],
	["std.rollback of bereq is no way to give up an answer", "r03353"],
];

const byName = new Map(
	reasons.flatMap(([reason, names]) => names.split(" ").map((name) => [name, reason] as const)),
);

/** `name`: of the file, without its suffix; `log`: of the run that failed. */
export const knownReason = (name: string, log: string): string | undefined =>
	byName.get(name) ?? saysSo.find(([said]) => said.test(log))?.[1];
