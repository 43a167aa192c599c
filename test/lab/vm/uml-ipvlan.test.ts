import { guestSuite } from "./uml.ts";

await guestSuite("./test/lab/vm/guest/ipvlan.guest.ts");
