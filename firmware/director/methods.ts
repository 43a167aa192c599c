/** What the director answers on its socket. */
import { z } from "zod";
import { reloadRequest } from "../bus/reload-request.ts";
import { type Methods, method } from "../bus/server.ts";
import { TIMELINE_LIMIT } from "../status/timeline.ts";
import type { Director } from "./director.ts";

/** `reload` reads the file again and rejects with the reason when it is refused. */
export function directorMethods(director: Director, reload: (judged: boolean) => Promise<string>): Methods {
	return {
		status: method(z.object({}), () => director.status()),
		config: method(z.object({}), () => director.config),
		timeline: method(
			z.object({
				realServer: z.string().max(300).nullable().default(null),
				virtualServer: z.string().max(300).nullable().default(null),
				count: z.int().min(1).max(TIMELINE_LIMIT).default(TIMELINE_LIMIT),
			}),
			(input) => director.timeline(input.realServer, input.virtualServer, input.count),
		),
		reload: method(reloadRequest, ({ judged }) => reload(judged)),
		look: method(z.object({}), () => director.look()),
		override: method(
			z.object({
				action: z.enum(["drain", "maintenance", "undo"]),
				realServer: z.string().max(300),
				virtualServer: z.string().max(300).nullable().default(null),
			}),
			(request) => director.override(request),
		),
	};
}
