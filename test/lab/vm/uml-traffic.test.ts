import { guestSuite } from "./uml.ts";

await guestSuite("./test/lab/vm/guest/traffic.guest.ts", { limitSeconds: 600 });
