/** What the director answers on its socket. */
import { z } from "zod";
import { type Method, method } from "../bus/server.ts";
import type { Director } from "./director.ts";

/** `reload` reads the file again and rejects with the reason when it is refused. */
export function directorMethods(
	director: Director,
	reload: () => Promise<string>,
): Readonly<Record<string, Method<never>>> {
	return {
		status: method(z.object({}), () => director.status()),
		config: method(z.object({}), () => director.config),
		reload: method(z.object({}), reload),
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
