/** The manager and its workers: their state, their storage, their end, and the conversation itself. */
import { type Commands, json, message, ok, refuse } from "../command.ts";
import { Status } from "../protocol.ts";

export const processCommands: Commands = {
	auth: {
		syntax: "auth <response>",
		about: "Authenticate.",
		minimum: 1,
		maximum: 1,
		// Whoever gets here is authenticated already: the conversation answers the challenge itself.
		run: ({ manager }) => ok(manager.banner()),
	},
	banner: {
		syntax: "banner",
		about: "Print welcome banner.",
		minimum: 0,
		maximum: 0,
		run: ({ manager }) => ok(manager.banner()),
	},
	"panic.clear": {
		syntax: "panic.clear [-z]",
		about: "Clear the last panic, if any, -z will clear related varnishstat counter(s)",
		minimum: 0,
		maximum: 1,
		run({ manager, words }) {
			if (manager.panic === undefined && words[0] !== "-z") return refuse(Status.cannot, "No panic to clear");
			manager.forgetPanic();
			return ok();
		},
	},
	"panic.show": {
		syntax: "panic.show [-j]",
		about: "Return the last panic, if any.",
		minimum: 0,
		maximum: 0,
		json: true,
		run(context) {
			const { panic } = context.manager;
			if (panic === undefined)
				return refuse(Status.cannot, "Child has not panicked or panic has been cleared");
			return context.json ? json(context, 2, panic) : ok(panic);
		},
	},
	pid: {
		syntax: "pid [-j]",
		about: "Show the pid of the master process, and the worker if it's running.",
		minimum: 0,
		maximum: 0,
		json: true,
		run(context) {
			const [worker] = context.manager.workerPids;
			if (context.json)
				return json(context, 2, { master: process.pid, ...(worker === undefined ? {} : { worker }) });
			return ok(
				`Master: ${String(process.pid).padStart(10)}\n${worker === undefined ? "" : `Worker: ${String(worker).padStart(10)}\n`}`,
			);
		},
	},
	ping: {
		syntax: "ping [-j] [<timestamp>]",
		about: "Keep connection alive.",
		minimum: 0,
		maximum: 1,
		json: true,
		run: (context) =>
			context.json ? json(context, 2, "PONG") : ok(`PONG ${Math.floor(Date.now() / 1000)} 1.0`),
	},
	quit: {
		syntax: "quit",
		about: "Close connection.",
		minimum: 0,
		maximum: 0,
		run: () => ({ status: Status.close, body: "Closing CLI connection", close: true }),
	},
	start: {
		syntax: "start",
		about: "Start the Varnish cache process.",
		minimum: 0,
		maximum: 0,
		async run({ manager }) {
			if (manager.state !== "stopped") return refuse(Status.cannot, `Child in state ${manager.state}`);
			if (manager.vcls.size === 0) return refuse(Status.cannot, "No VCL loaded\n");
			if (manager.active === undefined) return refuse(Status.cannot, "No active VCL\n");
			try {
				await manager.start();
				return ok();
			} catch (error) {
				return refuse(Status.cannot, message(error));
			}
		},
	},
	status: {
		syntax: "status [-j]",
		about: "Check status of Varnish cache process.",
		minimum: 0,
		maximum: 0,
		json: true,
		run: (context) =>
			context.json ? json(context, 2, context.manager.state) : ok(`Child in state ${context.manager.state}`),
	},
	stop: {
		syntax: "stop",
		about: "Stop the Varnish cache process.",
		minimum: 0,
		maximum: 0,
		async run({ manager }) {
			if (manager.state !== "running") return refuse(Status.cannot, `Child in state ${manager.state}`);
			await manager.stop();
			return ok();
		},
	},
	"storage.list": {
		syntax: "storage.list [-j]",
		about: "List storage devices.",
		minimum: 0,
		maximum: 0,
		json: true,
		run(context) {
			const list = context.manager.options.storages;
			if (context.json) return json(context, 2, ...list.map(({ name, kind }) => ({ name, storage: kind })));
			return ok(
				`Storage devices:\n${list.map(({ name, kind }) => `\tstorage.${name} = ${kind}\n`).join("")}`,
			);
		},
	},
};
