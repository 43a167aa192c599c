/** Ports, addresses, routes. Pure. */
import { z } from "zod";
import { address, addressWithPrefix, interfaceName } from "./words.ts";

export const portSchema = z.strictObject({
	name: interfaceName.describe("the kernel's name of the port, such as eth0"),
	role: z
		.enum(["outside", "inside"])
		.describe("outside: towards the clients; inside: towards the real servers and the management network"),
	addresses: z.array(addressWithPrefix).max(64).default([]).describe("the box's own, never virtual ones"),
	gateways: z.array(address).max(2).default([]).describe("default gateways, one of each family"),
	mtu: z.int().min(576).max(9216).optional(),
});

export const routeSchema = z.strictObject({
	to: addressWithPrefix.describe("the network behind the gateway"),
	via: address.describe("the gateway"),
});
