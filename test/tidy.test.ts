/** The tree keeps itself in order: imports run one way, decisions import no edge. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { Glob } from "bun";

const root = join(import.meta.dir, "..");

interface Source {
	readonly path: string;
	readonly imports: readonly string[];
}

/** Every firmware file with what it imports: paths from the root for its own, bare names for the rest. */
const sources: readonly Source[] = [...new Glob("firmware/**/*.ts").scanSync(root)].sort().map((path) => {
	const text = readFileSync(join(root, path), "utf8");
	const imports = [...text.matchAll(/(?:^|\s)(?:import|export)\s(?:[^"';]*?\sfrom\s)?"([^"]+)"/g)].map(
		(match) =>
			match[1]!.startsWith(".") ? normalize(relative(root, join(root, dirname(path), match[1]!))) : match[1]!,
	);
	return { path, imports };
});

/** Files and folders that decide: no socket, clock, file or process. */
const pure = [
	"firmware/appliance/lockout.ts",
	"firmware/appliance/password.ts",
	"firmware/wire/",
	"firmware/appliance/network-plan.ts",
	"firmware/appliance/ntp-configuration.ts",
	"firmware/appliance/wanted-services.ts",
	"firmware/config/revisions/own-path.ts",
	"firmware/config/revisions/settings-plan.ts",
	"firmware/appliance/settings.ts",
	"firmware/appliance/settings/",
	"firmware/appliance/settings-edit.ts",
	"firmware/appliance/toml-edit.ts",
	"firmware/appliance/toml.ts",
	"firmware/appliance/vital-signs.ts",
	"firmware/status/box/facts.ts",
	"firmware/status/clock.ts",
	"firmware/process-files.ts",
	"firmware/signals.ts",
	"firmware/vrrp/json-dump.ts",
	"firmware/config/keepalived/random.ts",
	"firmware/reload-time.ts",
	"firmware/status/patience.ts",
	"firmware/status/snmp/addressed-engine.ts",
	"firmware/status/snmp/notification/told.ts",
	"firmware/status/box/interface-index.ts",
	"firmware/status/metrics/box-metrics.ts",
	"firmware/status/metrics/health.ts",
	"firmware/status/metrics/openmetrics.ts",
	"firmware/status/snmp/notification/box-changes.ts",
	"firmware/status/snmp/notification/crash-loop.ts",
	"firmware/status/snmp/notification/notification.ts",
	"firmware/status/snmp/notification/own-address.ts",
	"firmware/status/snmp/settings.ts",
	"firmware/status/snmp/tree/",
	"firmware/status/snmp/view.ts",
	"firmware/status/syslog/backlog.ts",
	"firmware/status/syslog/message.ts",
	"firmware/config/model.ts",
	"firmware/config/plan.ts",
	"firmware/config/same.ts",
	"firmware/config/show.ts",
	"firmware/config/tracked.ts",
	"firmware/config/keepalived/build.ts",
	"firmware/config/keepalived/build/",
	"firmware/config/keepalived/diagnostics.ts",
	"firmware/config/keepalived/document.ts",
	"firmware/config/keepalived/edit.ts",
	"firmware/config/keepalived/keywords/",
	"firmware/config/keepalived/lexer.ts",
	"firmware/config/keepalived/preprocessor.ts",
	"firmware/config/keepalived/sequences.ts",
	"firmware/config/keepalived/statement.ts",
	"firmware/config/keepalived/statements.ts",
	"firmware/status/timeline.ts",
	"firmware/appliance/password-dialogue.ts",
	"firmware/appliance/preset.ts",
	"firmware/appliance/set-up-dialogue.ts",
	"firmware/appliance/sshd-config.ts",
	"firmware/console/dialogue.ts",
	"firmware/update/gpt.ts",
	"firmware/update/console-speed.ts",
	"firmware/bfd/demultiplex.ts",
	"firmware/bfd/session.ts",
	"firmware/bfd/text.ts",
	"firmware/vrrp/conditions.ts",
	"firmware/vrrp/engine.ts",
	"firmware/vrrp/explain.ts",
	"firmware/vrrp/instance-key.ts",
	"firmware/vrrp/readings.ts",
	"firmware/vrrp/receive.ts",
	"firmware/vrrp/router.ts",
	"firmware/vrrp/status-report.ts",
	"firmware/vrrp/packet-filter.ts",
	"firmware/vrrp/sync-group.ts",
	"firmware/vrrp/timers.ts",
	"firmware/vrrp/tracking.ts",
	"firmware/health/verdict.ts",
	"firmware/health/http-response.ts",
	"firmware/health/pcre.ts",
	"firmware/health/smtp-reply.ts",
	"firmware/health/path-packet.ts",
	"firmware/health/path-verdict.ts",
	"firmware/health/vip-claims.ts",
	"firmware/health/wheel.ts",
	"firmware/console/access-screen.ts",
	"firmware/console/alarms.ts",
	"firmware/console/completion.ts",
	"firmware/console/explain-screen.ts",
	"firmware/console/ha-screen.ts",
	"firmware/console/line-editor.ts",
	"firmware/console/menu/",
	"firmware/console/network-screen.ts",
	"firmware/console/servers/edit.ts",
	"firmware/console/servers/name.ts",
	"firmware/console/servers/screen.ts",
	"firmware/console/servers/words.ts",
	"firmware/console/status-screen.ts",
	"firmware/console/tools/packet.ts",
	"firmware/console/wrap.ts",
	"firmware/config/keepalived/server-memory.ts",
	"firmware/director/adoption.ts",
	"firmware/director/announce.ts",
	"firmware/director/connections.ts",
	"firmware/director/desired.ts",
	"firmware/director/drift.ts",
	"firmware/director/dump.ts",
	"firmware/director/explain.ts",
	"firmware/director/ipvs-text.ts",
	"firmware/director/names.ts",
	"firmware/director/pool.ts",
	"firmware/director/quorum.ts",
	"firmware/director/reconcile.ts",
	"firmware/director/sync-daemon.ts",
	"firmware/cache/esi/",
	"firmware/cache/vcl/",
	"firmware/cache/http/cache-control.ts",
	"firmware/cache/http/chunked.ts",
	"firmware/cache/http/conditional.ts",
	"firmware/cache/http/date.ts",
	"firmware/cache/http/head.ts",
	"firmware/cache/http/headers.ts",
	"firmware/cache/http/proxy.ts",
	"firmware/cache/http/range.ts",
	"firmware/cache/http/request.ts",
	"firmware/cache/http/response.ts",
	"firmware/cache/http/status.ts",
	"firmware/cache/http/syntax.ts",
	"firmware/cache/http2/",
	"firmware/cache/store/freshness.ts",
	"firmware/cache/service/figures.ts",
	"firmware/cache/service/pool-vcl.ts",
	"firmware/cache/service/status-text.ts",
	"firmware/cache/log/digits.ts",
	"firmware/cache/log/reader.ts",
	"firmware/cache/log/top.ts",
	"firmware/cache/why.ts",
	"firmware/cache/store/tags.ts",
	"firmware/cache/store/vary.ts",
	"firmware/cache/worker/cache-status.ts",
	"firmware/cache/worker/hop-by-hop.ts",
	"firmware/cache/worker/received-body.ts",
	"firmware/cache/worker/revalidation.ts",
];
/** Of kernel/: bytes in, values out. */
const codecs = [
	"constants",
	"control-message",
	"neighbour",
	"netlink-message",
	"route",
	"route-address",
	"route-link",
	"route-names",
	"route-rule",
	"route-words",
	"sockaddr",
].map((name) => `firmware/kernel/${name}.ts`);
const edges = [
	/^node:(fs|net|dgram|child_process|http|tls|os|process)/,
	/^bun$/,
	/^firmware\/kernel\//,
	/^native\//,
	/^firmware\/bus\//,
];

const isPure = (path: string) =>
	pure.some((place) => path === place || (place.endsWith("/") && path.startsWith(place)));

describe("imports run one way", () => {
	test("a file that decides imports no edge, directly or through others", () => {
		const byPath = new Map(sources.map((source) => [source.path, source]));
		const offences: string[] = [];
		for (const source of sources.filter(({ path }) => isPure(path))) {
			const seen = new Set<string>();
			const visit = (path: string, trail: string) => {
				for (const target of byPath.get(path)?.imports ?? []) {
					if (!codecs.includes(target) && edges.some((edge) => edge.test(target)))
						offences.push(`${trail} → ${target}`);
					else if (!seen.has(target)) {
						seen.add(target);
						visit(target, `${trail} → ${target}`);
					}
				}
			};
			visit(source.path, source.path);
		}
		expect(offences).toEqual([]);
	});

	test("the codecs of kernel/ open no door: bytes in, values out", () => {
		const allowed = [...codecs, "firmware/wire/ip.ts"];
		const offences = sources
			.filter(({ path }) => codecs.includes(path))
			.flatMap(({ path, imports }) =>
				imports.filter((name) => !allowed.includes(name)).map((name) => `${path} → ${name}`),
			);
		expect(offences).toEqual([]);
		expect(codecs.filter((path) => !sources.some((source) => source.path === path))).toEqual([]);
	});

	test("only kernel/ imports the shim", () => {
		const offences = sources.filter(
			({ path, imports }) =>
				!path.startsWith("firmware/kernel/") && imports.some((name) => name.startsWith("native/")),
		);
		expect(offences.map(({ path }) => path)).toEqual([]);
	});

	test("wire/ imports only itself; kernel/ and bus/ know no service", () => {
		const allowed: Record<string, RegExp> = {
			"firmware/wire/": /^firmware\/wire\//,
			"firmware/kernel/": /^(firmware\/(kernel|wire)\/|native\/|node:|bun(:ffi)?$)/,
			"firmware/bus/": /^(firmware\/bus\/|node:|bun$|zod$|cbor-x$)/,
		};
		const offences: string[] = [];
		for (const [place, pattern] of Object.entries(allowed))
			for (const source of sources.filter(({ path }) => path.startsWith(place)))
				for (const name of source.imports) if (!pattern.test(name)) offences.push(`${source.path} → ${name}`);
		expect(offences).toEqual([]);
	});

	test("no file is reached by its own imports", () => {
		const byPath = new Map(sources.map((source) => [source.path, source]));
		const reached = (from: string): ReadonlySet<string> => {
			const seen = new Set<string>();
			const visit = (path: string) => {
				for (const target of byPath.get(path)?.imports ?? [])
					if (!seen.has(target)) {
						seen.add(target);
						visit(target);
					}
			};
			visit(from);
			return seen;
		};
		const circles = sources.filter(({ path }) => reached(path).has(path));
		expect(circles.map(({ path }) => path)).toEqual([]);
	});

	test("the sources were found", () => {
		expect(sources.length).toBeGreaterThan(10);
	});
});

describe("names", () => {
	test("no file is called utils, helpers, common or misc", () => {
		const offences = sources.filter(({ path }) =>
			/(^|\/)(utils?|helpers?|common|misc|manager2)\.ts$/.test(path),
		);
		expect(offences.map(({ path }) => path)).toEqual([]);
	});
});
