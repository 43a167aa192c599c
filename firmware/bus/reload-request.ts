/** What `reload` may be told. Of its own: the schema library is loaded by the first call. */
import { z } from "zod";

export const reloadRequest = z.object({
	/** It was judged already, as a revision is that was committed or is taken back: a missing interface is no reason. */
	judged: z.boolean().default(false),
});
