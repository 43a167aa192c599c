import { guestSuite } from "./uml.ts";

await guestSuite("./test/lab/vm/guest/storm.guest.ts", { limitSeconds: 300 });
