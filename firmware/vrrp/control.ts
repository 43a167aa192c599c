/** What `drover vrrp` answers on its socket. Loaded by the first call. */
import { z } from "zod";
import { reloadRequest } from "../bus/reload-request.ts";
import { type Methods, method } from "../bus/server.ts";
import type { DroverConfig } from "../config/model.ts";
import { TIMELINE_LIMIT, type TimelineEntry } from "../status/timeline.ts";
import type { VrrpStatus } from "../status/vrrp.ts";

export interface Controlled {
	status(): VrrpStatus;
	/** What runs; without virtual servers, which are the director's. */
	config(): DroverConfig;
	timeline(instance: string | null, count: number): readonly TimelineEntry[];
	reload(judged: boolean): { readonly accepted: boolean };
	/** Returns how many instances it concerned; null is all. */
	command(kind: "resign" | "take-over", instances: readonly string[] | null): number;
}

const instances = z.object({ instances: z.array(z.string()).nullable().default(null) });

export function vrrpMethods(service: Controlled): Methods {
	return {
		status: method(z.object({}), () => service.status()),
		config: method(z.object({}), () => service.config()),
		timeline: method(
			z.object({
				instance: z.string().max(300).nullable().default(null),
				count: z.int().min(1).max(TIMELINE_LIMIT).default(TIMELINE_LIMIT),
			}),
			(input) => service.timeline(input.instance, input.count),
		),
		reload: method(reloadRequest, ({ judged }) => service.reload(judged)),
		resign: method(instances, (input) => ({ instances: service.command("resign", input.instances) })),
		"take-over": method(instances, (input) => ({
			instances: service.command("take-over", input.instances),
		})),
	};
}
