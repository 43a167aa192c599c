import { guestSuite } from "./uml.ts";

await guestSuite("./test/lab/vm/guest/storm.guest.ts", {
	limitSeconds: 300,
	environment: { DROVER_SEED: process.env["DROVER_SEED"] ?? String(Date.now() % 1_000_000) },
});
