/** Where the cache of the box keeps its shared memory, its secret and the socket for questions. */
import { join } from "node:path";
import { runDirectory } from "../../bus/socket-path.ts";

export const serviceDirectory = () => join(runDirectory(), "cache");
