/** Events that wait for a look at the box: in their order, and no more than a receiver's queue holds. */
import { expect, test } from "bun:test";
import { Gathering } from "../../firmware/status/snmp/notification/gathering.ts";
import { QUEUE_LIMIT } from "../../firmware/status/snmp/notification/notifier.ts";

const event = (upMs: number) => ({ event: { kind: "authentication-failure" } as const, upMs });
const times = ({ events }: ReturnType<Gathering["take"]>) => events.map(({ upMs }) => upMs);

test("what was added is taken once, the oldest first", () => {
	const gathering = new Gathering();
	for (const at of [3, 1, 2]) gathering.add(event(at));
	expect(gathering.count).toBe(3);
	expect(times(gathering.take())).toEqual([3, 1, 2]);
	expect(gathering.count).toBe(0);
	expect(gathering.take()).toEqual({ events: [], dropped: 0 });
});

test("of too many the oldest are dropped, and counted", () => {
	const gathering = new Gathering();
	for (let at = 0; at < QUEUE_LIMIT + 5; at++) gathering.add(event(at));
	const taken = gathering.take();
	expect(taken.dropped).toBe(5);
	expect(times(taken)).toEqual(Array.from({ length: QUEUE_LIMIT }, (_, index) => index + 5));
	expect(gathering.take().dropped).toBe(0);
});
