import { guestSuite } from "./uml.ts";

await guestSuite("./test/lab/vm/guest/ipvs-client.guest.ts");
