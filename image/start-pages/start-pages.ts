/** The pages of Bun that a start of the two services touches, as record.ts found them in a booted box. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parsePageList } from "./page-runs.ts";

export const startPagesPath = join(import.meta.dir, "start-pages.txt");
export const startPages = parsePageList(readFileSync(startPagesPath, "utf8"));
