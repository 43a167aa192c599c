/** Names of rtnetlink scopes, as iproute2's rt_scopes has them (include/uapi/linux/rtnetlink.h). */
export const rtScopes: ReadonlyMap<string, number> = new Map([
	["global", 0],
	["site", 200],
	["link", 253],
	["host", 254],
	["nowhere", 255],
]);
