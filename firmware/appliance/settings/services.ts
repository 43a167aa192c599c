/** Clock, remote log, metrics, cache. Pure. */
import { z } from "zod";
import { address, fileName, host, line, listener, network, portNumber, size } from "./words.ts";

export const ntpSchema = z.strictObject({
	servers: z.array(host).max(8).default([]).describe("whom to ask the time; none: the clock is left alone"),
});

export const SEVERITIES = ["error", "warning", "info", "debug"] as const;

const syslogReceiver = z.strictObject({
	host: host,
	port: portNumber.optional().describe("514, and 6514 for TLS"),
	transport: z
		.enum(["udp", "tcp", "tls"])
		.default("udp")
		.describe("udp: RFC 5426; tcp: RFC 6587 with octet counting; tls: RFC 5425"),
	ca: fileName.optional().describe("TLS: the certificates to trust, a PEM file of this revision"),
});

export const syslogSchema = z.strictObject({
	receivers: z.array(syslogReceiver).max(8).default([]).describe("none: nothing is sent"),
	level: z.enum(SEVERITIES).default("info").describe("the least that is sent"),
	facility: z
		.enum(["daemon", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"])
		.default("daemon"),
});

export const metricsSchema = z.strictObject({
	enabled: z.boolean().default(false).describe("/metrics and /healthz over HTTP, on inside ports only"),
	port: portNumber.default(9100),
	sources: z.array(network).max(64).default([]).describe("who may ask; empty: everyone on the inside"),
});

const storageName = z.string().regex(/^[a-z][a-z0-9_]{0,31}$/, "is not a name: small letters, digits and _");

const storageSchema = z.discriminatedUnion("kind", [
	z.strictObject({
		kind: z.literal("memory"),
		name: storageName,
		size: size,
	}),
	z.strictObject({
		kind: z.literal("file").describe("kept over restarts, on the data partition"),
		name: storageName,
		size: size,
	}),
]);

export const cacheSchema = z.strictObject({
	enabled: z.boolean().default(false),
	listen: z.array(listener).max(16).default([":80"]).describe("where clients are answered"),
	tls: z
		.array(
			z.strictObject({
				listen: listener,
				certificate: fileName.describe(
					"a PEM file of this revision: the certificate, those that vouch for it, and its key",
				),
			}),
		)
		.max(16)
		.default([])
		.describe("where clients are answered over TLS"),
	vcl: fileName.optional().describe("the policy, a file of this revision"),
	backend: line.optional().describe("instead of a policy: the one web server, as HOST:PORT"),
	pool: line
		.optional()
		.describe(
			'the virtual server whose real servers are behind the cache, as virtual_server says it: "192.168.80.202 80"; a policy gets them with include "pool.vcl"',
		),
	cache_status: z.boolean().default(false).describe("adds the field of RFC 9211 to every answer"),
	storage: z
		.array(storageSchema)
		.max(8)
		.default([{ kind: "memory", name: "s0", size: "256M" }])
		.describe(
			"where objects are kept: each has its own size and takes nothing from the others; answers go to them in turn, or where the policy says (beresp.storage)",
		),
	management: z
		.strictObject({ address: address.default("127.0.0.1"), port: portNumber.default(6082) })
		.optional()
		.describe("where varnishadm may connect"),
	parameters: z
		.record(z.string().regex(/^[a-z][a-z0-9_]*$/, "is not a parameter's name"), z.string().max(255))
		.default({})
		.describe("varnishd's parameters, as with -p"),
});
