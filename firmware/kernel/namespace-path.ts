/** Where a network namespace is found by its name. */

/** A name of ip-netns(8), or a path. */
export function namespacePath(name: string): string {
	return name.includes("/") ? name : `/run/netns/${name}`;
}
