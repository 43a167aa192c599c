/** The vmods that this program knows by name. */
import { blob } from "./blob.ts";
import { cookie } from "./cookie.ts";
import { directors } from "./directors.ts";
import { header } from "./header.ts";
import { proxy } from "./proxy.ts";
import { purgeVmod } from "./purge.ts";
import { std } from "./std.ts";
import { unix } from "./unix.ts";
import type { Vmod } from "./vmod.ts";
import { vtc } from "./vtc.ts";
import { xkey } from "./xkey.ts";

const all: readonly Vmod[] = [std, directors, cookie, header, blob, purgeVmod, proxy, unix, vtc, xkey];

export const vmods: ReadonlyMap<string, Vmod> = new Map(all.map((vmod) => [vmod.name, vmod]));
