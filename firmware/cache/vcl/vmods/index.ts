/** The vmods that this program knows by name. */
import type { Vmod } from "./vmod.ts";

const all: readonly Vmod[] = [];

export const vmods: ReadonlyMap<string, Vmod> = new Map(all.map((vmod) => [vmod.name, vmod]));
