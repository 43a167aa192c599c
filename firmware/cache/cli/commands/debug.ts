/** What varnishtest and its like ask for. */
import { type Commands, ok } from "../command.ts";

export const debugCommands: Commands = {
	"debug.panic.worker": {
		syntax: "debug.panic.worker",
		about: "Panic the worker process.",
		minimum: 0,
		maximum: 0,
		child: true,
		debug: true,
		async run({ manager }) {
			await manager.killWorker();
			return ok();
		},
	},
	"debug.panic.master": {
		syntax: "debug.panic.master",
		about: "Panic the master process.",
		minimum: 0,
		maximum: 0,
		debug: true,
		run: () => process.abort(),
	},
	"debug.reqpool.fail": {
		syntax: "debug.reqpool.fail",
		about: "Schedule req-pool failures; there is no such pool here.",
		minimum: 1,
		maximum: 1,
		child: true,
		debug: true,
		run: () => ok(),
	},
	"debug.listen_address": {
		syntax: "debug.listen_address",
		about: "Report the actual listen address.",
		minimum: 0,
		maximum: 0,
		child: true,
		debug: true,
		run: ({ manager }) =>
			ok(manager.addresses.map(({ name, address, port }) => `${name} ${address} ${port}\n`).join("")),
	},
	"debug.xid": {
		syntax: "debug.xid [<xid> [<cachesize>]]",
		about: "Examine or set XID.",
		minimum: 0,
		maximum: 2,
		child: true,
		debug: true,
		run({ manager, words }) {
			const transactions = manager.control!.transactions;
			if (words[0] !== undefined) Atomics.store(transactions, 0, Number(words[0]) & 0x3fffffff);
			return ok(`XID is ${Atomics.load(transactions, 0)} chunk ${words[1] ?? 1}`);
		},
	},
	"debug.srandom": {
		syntax: "debug.srandom",
		about: "Seed the random(3) function.",
		minimum: 0,
		maximum: 1,
		child: true,
		debug: true,
		run: () => ok(),
	},
	"debug.vmod": {
		syntax: "debug.vmod",
		about: "Show loaded vmods.",
		minimum: 0,
		maximum: 0,
		child: true,
		debug: true,
		run: ({ manager }) =>
			ok(
				[...new Set([...manager.vcls.values()].flatMap((vcl) => vcl.compiled.vmods))]
					.map((name) => `    1 ${name} (built in)\n`)
					.join(""),
			),
	},
	"debug.fragfetch": {
		syntax: "debug.fragfetch",
		about: "Enable fetch fragmentation.",
		minimum: 1,
		maximum: 1,
		child: true,
		debug: true,
		run: () => ok(),
	},
	"debug.shutdown.delay": {
		syntax: "debug.shutdown.delay",
		about: "Add a delay to the child process shutdown.",
		minimum: 1,
		maximum: 1,
		child: true,
		debug: true,
		run: () => ok(),
	},
};
