import { guestSuite } from "./uml.ts";

await guestSuite("./test/lab/vm/guest/director.guest.ts", { limitSeconds: 600 });
