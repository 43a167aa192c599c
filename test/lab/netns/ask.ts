/** Asks a service from outside the test's own process: `bun ask.ts SERVICE METHOD`; prints JSON. */
import { call } from "../../../firmware/bus/client.ts";

const [service, method] = process.argv.slice(2);
console.log(JSON.stringify(await call(service!, method!)));
