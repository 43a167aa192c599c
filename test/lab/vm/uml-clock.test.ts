import { guestSuite } from "./uml.ts";

await guestSuite("./test/lab/vm/guest/clock.guest.ts", { limitSeconds: 120, memoryMb: 768 });
