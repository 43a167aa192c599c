/** What the BFD service answers on its socket. */
import { z } from "zod";
import { reloadRequest } from "../bus/reload-request.ts";
import { type Method, method } from "../bus/server.ts";
import type { BfdStatus } from "../status/bfd.ts";

/** `reload` throws with the reason when the file is refused. */
export function bfdMethods(
	status: () => BfdStatus,
	reload: (judged: boolean) => string,
): Readonly<Record<string, Method<never>>> {
	return {
		status: method(z.object({}), status),
		reload: method(reloadRequest, ({ judged }) => reload(judged)),
	};
}
