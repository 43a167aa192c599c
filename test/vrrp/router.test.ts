import { describe, expect, test } from "bun:test";
import type { VrrpInstanceConfig } from "../../firmware/config/model.ts";
import { emptyMemory, type RefusalKind, type Refused, type Verdict } from "../../firmware/vrrp/receive.ts";
import {
	type Action,
	newRouter,
	type Router,
	type RouterEvent,
	standing,
	step,
} from "../../firmware/vrrp/router.ts";
import { masterDownIntervalMicros, shortWaitMicros, skewTimeMicros } from "../../firmware/vrrp/timers.ts";
import { addressOf, instanceOf } from "./config.ts";

const SECOND = 1_000_000;
const SOURCE = "192.0.2.1";

function advert(priority: number, source = "192.0.2.9", intervalMicros = SECOND): RouterEvent {
	const verdict: Verdict = {
		kind: "accepted",
		advertisement: {
			version: 2,
			virtualRouterId: 51,
			priority,
			intervalMicros,
			authenticationType: 0,
			addresses: ["192.0.2.200"],
		},
		source,
		remarks: [],
		memory: emptyMemory,
	};
	return { kind: "packet", verdict };
}

function refusal(priority: number, source = "192.0.2.9"): Refused {
	return {
		kind: "refused",
		refusal: "interval",
		detail: "interval 2 s, ours is 1 s",
		source,
		advertisement: {
			version: 2,
			virtualRouterId: 51,
			priority,
			intervalMicros: 2 * SECOND,
			authenticationType: 0,
			addresses: [],
		},
	};
}

const refused = (priority: number, source?: string): RouterEvent => ({
	kind: "packet",
	verdict: refusal(priority, source),
});

const healthy = (priority: number): RouterEvent => ({
	kind: "conditions",
	priority,
	sourceAddress: SOURCE,
	faults: [],
	held: false,
	grouped: false,
});
const faulty = (priority: number, pending = false): RouterEvent => ({
	kind: "conditions",
	priority,
	sourceAddress: SOURCE,
	faults: [{ key: "k", detail: "interface eth0 is down", pending }],
	held: false,
	grouped: false,
});
const timer: RouterEvent = { kind: "timer", mayBecomeMaster: true };

/** A router under test with its clock and everything it asked for. */
class Subject {
	router: Router;
	actions: Action[] = [];
	nowMicros = 0;

	constructor(over: Partial<VrrpInstanceConfig> = {}) {
		this.router = newRouter(instanceOf(over), 0);
		this.feed(healthy(this.router.config.priority));
	}

	feed(event: RouterEvent, afterMicros = 0): this {
		this.nowMicros += afterMicros;
		const result = step(this.router, event, this.nowMicros);
		this.router = result.router;
		this.actions = [...result.actions];
		return this;
	}

	/** To MASTER by waiting. */
	elected(): this {
		this.nowMicros = this.router.masterDownAtMicros ?? this.nowMicros;
		return this.router.state === "MASTER" ? this : this.feed(timer);
	}

	get sent(): number[] {
		return this.actions.filter((action) => action.kind === "send").map(({ priority }) => priority);
	}

	get announced(): number {
		return this.actions
			.filter((action) => action.kind === "announce")
			.reduce((sum, { rounds }) => sum + rounds, 0);
	}

	get waitMicros(): number {
		return this.router.masterDownAtMicros! - this.nowMicros;
	}
}

describe("RFC 3768 §6.1, RFC 9568 §6.1: derived times", () => {
	test.each([
		[2, 100, SECOND, 609_375],
		[2, 255, SECOND, 3_906],
		[2, 1, 5 * SECOND, 996_093],
		[3, 100, SECOND, 609_375],
		[3, 100, 10_000, 6_093],
		[3, 254, 40_950_000, 319_921],
	] as const)("version %d, priority %d, interval %d µs: skew %d µs", (version, priority, interval, skew) => {
		expect(skewTimeMicros(version, priority, interval)).toBe(skew);
		expect(masterDownIntervalMicros(version, priority, interval, 3)).toBe(3 * interval + skew);
	});
	test("the short wait of a configured MASTER is one interval and 1/256", () => {
		expect(shortWaitMicros(2, SECOND)).toBe(1_003_906);
		expect(shortWaitMicros(3, 100_000)).toBe(100_390);
	});
});

describe("RFC 9568 §6.4.1: leaving INIT", () => {
	test("BACKUP waits the whole master down interval", () => {
		expect(new Subject().waitMicros).toBe(3_609_375);
	});
	test("state MASTER shortens the wait and skips nothing", () => {
		const subject = new Subject({ initialState: "MASTER" });
		expect([subject.router.state, subject.waitMicros]).toEqual(["BACKUP", 1_003_906]);
	});
	test("the owner is master at once", () => {
		const subject = new Subject({ priority: 255, initialState: "MASTER" });
		expect(subject.router.state).toBe("MASTER");
		expect(subject.sent).toEqual([255]);
	});
	test("what is only unknown keeps it in INIT; what is bad makes it FAULT", () => {
		expect(new Subject().feed(faulty(100, true)).router.state).toBe("BACKUP");
		const fresh = (event: RouterEvent) => step(newRouter(instanceOf(), 0), event, 0).router.state;
		expect([fresh(faulty(100, true)), fresh(faulty(100)), fresh(healthy(100))]).toEqual([
			"INIT",
			"FAULT",
			"BACKUP",
		]);
	});
});

describe("RFC 9568 §6.4.2: BACKUP", () => {
	test("an equal or higher advert starts the wait anew", () => {
		for (const priority of [100, 101, 255]) {
			const subject = new Subject().feed(advert(priority), SECOND);
			expect(subject.waitMicros).toBe(3_609_375);
		}
	});
	test("a lower one is not obeyed: the wait goes on and ends in mastership", () => {
		const subject = new Subject().feed(advert(99), SECOND);
		expect(subject.waitMicros).toBe(2_609_375);
		expect(subject.elected().router.state).toBe("MASTER");
	});
	test("nopreempt obeys a lower one", () => {
		expect(new Subject({ preempt: false }).feed(advert(1), SECOND).waitMicros).toBe(3_609_375);
	});
	test("preempt_delay obeys a lower one until it has passed, then waits the rest", () => {
		const subject = new Subject({ preemptDelayMs: 5000 });
		for (let second = 0; second < 5; second++)
			expect(subject.feed(advert(90), SECOND).waitMicros).toBe(3_609_375);
		expect(subject.feed(advert(90), SECOND).waitMicros).toBe(2_609_375);
	});
	test("a higher advert resets preempt_delay", () => {
		const subject = new Subject({ preemptDelayMs: 5000 }).feed(advert(90), SECOND).feed(advert(110), SECOND);
		expect(subject.router.preemptAtMicros).toBeNull();
	});
	test("priority 0 shortens the wait to the skew", () => {
		expect(new Subject().feed(advert(110), SECOND).feed(advert(0), SECOND).waitMicros).toBe(609_375);
	});
	test("version 3 learns the master's interval", () => {
		const subject = new Subject({ version: 3, advertIntervalMicros: SECOND }).feed(
			advert(110, "192.0.2.9", 200_000),
		);
		expect(subject.waitMicros).toBe(600_000 + 121_875);
	});
	test("down_timer_adverts", () => {
		expect(new Subject({ downTimerAdverts: 10 }).waitMicros).toBe(10_609_375);
	});
	test("the timer before its time does nothing", () => {
		expect(new Subject().feed(timer, SECOND).router.state).toBe("BACKUP");
	});
	test("an expiry counted in whole nanoseconds is not too early for a deadline in broken microseconds", () => {
		const subject = new Subject();
		subject.feed(timer, subject.waitMicros - 0.001);
		expect(subject.router.state).toBe("MASTER");
	});
	test("becoming master: advert first, then addresses, then the burst", () => {
		const subject = new Subject().elected();
		expect(subject.actions.map(({ kind }) => kind)).toEqual(["send", "transition", "announce"]);
		expect(subject.announced).toBe(5);
		expect(standing(subject.router)).toMatchObject({
			addressesPresent: true,
			watch: null,
			advert: { priority: 100, intervalMicros: SECOND, anchorMicros: subject.nowMicros + SECOND },
		});
	});
	test("the last advert is what may be repeated without being looked at", () => {
		const subject = new Subject().feed(advert(110));
		expect(standing(subject.router).watch?.expected).toMatchObject({ source: "192.0.2.9" });
		expect(standing(subject.feed(advert(0)).router).watch?.expected).toBeNull();
		expect(
			standing(new Subject({ authentication: { type: "AH", password: "x" } }).feed(advert(110)).router).watch
				?.expected,
		).toBeNull();
	});
});

describe("RFC 9568 §6.4.3: MASTER", () => {
	test("a higher advert, or an equal one from a higher address, ends it", () => {
		const lost = new Subject().elected().feed(advert(101));
		expect([lost.router.state, lost.sent]).toEqual(["BACKUP", []]);
		expect(new Subject().elected().feed(advert(100, "192.0.2.2")).router.state).toBe("BACKUP");
	});
	test("a lower one, or an equal one from a lower address, is answered with advert and burst", () => {
		for (const event of [advert(99), advert(100, "192.0.2.0")]) {
			const subject = new Subject().elected().feed(event, 400_000);
			expect([subject.router.state, subject.sent, subject.announced]).toEqual(["MASTER", [100], 5]);
			expect(standing(subject.router).advert?.anchorMicros).toBe(subject.nowMicros + SECOND);
			expect(subject.router.conflict?.detail).toContain("is a second master");
			expect(subject.actions.some((action) => action.kind === "notice")).toBe(true);
		}
	});
	test("lower_prio_no_advert stays silent", () => {
		const subject = new Subject({ lowerPriorityNoAdvert: true }).elected().feed(advert(99));
		expect([subject.sent, subject.announced]).toEqual([[], 0]);
	});
	test("higher_prio_send_advert speaks before it yields", () => {
		const subject = new Subject({ higherPrioritySendAdvert: true }).elected().feed(advert(200));
		expect([subject.router.state, subject.sent]).toEqual(["BACKUP", [100]]);
	});
	test("priority 0 of another is answered", () => {
		const subject = new Subject().elected().feed(advert(0));
		expect([subject.router.state, subject.sent]).toEqual(["MASTER", [100]]);
	});
	test("our own address from elsewhere is logged, and nobody moves", () => {
		const subject = new Subject().elected().feed(advert(100, SOURCE));
		expect([subject.router.state, subject.sent]).toEqual(["MASTER", []]);
		expect(subject.actions).toHaveLength(1);
	});
	test("a refused advert of a second master: the winner announces, once a second; the loser does not", () => {
		const winner = new Subject().elected().feed(refused(90));
		expect(winner.announced).toBe(5);
		expect(winner.router.conflict?.detail).toBe("192.0.2.9 is not obeyed: interval 2 s, ours is 1 s");
		expect(winner.feed(refused(90), 1000).announced).toBe(0);
		expect(winner.feed(refused(90), SECOND).announced).toBe(5);
		expect(new Subject().elected().feed(refused(200)).announced).toBe(0);
	});
	test("RFC 5227 §2.4: a claim by ARP is shown and answered, every ten seconds at most", () => {
		const claim: RouterEvent = { kind: "claimed", address: "192.0.2.200", mac: "02:00:00:00:00:09" };
		const subject = new Subject().elected().feed(claim);
		expect([subject.announced, subject.router.conflict?.detail]).toEqual([
			1,
			"02:00:00:00:00:09 claims 192.0.2.200",
		]);
		expect(subject.feed(claim, SECOND).announced).toBe(0);
		expect(subject.feed(claim, 9 * SECOND).announced).toBe(1);
		expect(new Subject().feed(claim).router.conflict).toBeNull();
	});
	test("whose adverts say why he claims our address is named with the cause until he may claim again, and counts for nothing", () => {
		const rival: RouterEvent = { kind: "rival", verdict: refusal(90) };
		const claim: RouterEvent = { kind: "claimed", address: "192.0.2.200", mac: "02:00:00:00:00:09" };
		const subject = new Subject().elected().feed(claim).feed(rival);
		expect(subject.announced).toBe(5);
		expect(subject.router.counters.advertisementIntervalErrors).toBe(0);
		const detail = "192.0.2.9 is not obeyed: interval 2 s, ours is 1 s";
		expect(subject.feed(claim, 10 * SECOND).router.conflict?.detail).toBe(detail);
		expect(subject.feed(timer, 6 * SECOND).router.conflict).toBeNull();
		expect(new Subject().feed(rival).router.conflict).toBeNull();
	});
	test("a conflict ends when nothing is heard any more", () => {
		const subject = new Subject().elected().feed(refused(90));
		expect(standing(subject.router).wakeAtMicros).not.toBeNull();
		expect(subject.feed(timer, 5 * SECOND).router.conflict).toBeNull();
	});
	test("stop says priority 0 once, FAULT of its own twice", () => {
		expect(new Subject().elected().feed({ kind: "stop" }).sent).toEqual([0]);
		const broken = new Subject().elected().feed(faulty(100));
		expect([broken.router.state, broken.sent]).toEqual(["FAULT", [0, 0]]);
		expect(new Subject().feed(faulty(100)).sent).toEqual([]);
	});
	test("a FAULT of the group says it once", () => {
		const fault = { key: "sync-group", detail: "VI_2 of the sync group", pending: false };
		expect(new Subject().elected().feed({ kind: "group-fault", fault }).sent).toEqual([0]);
	});
	test("out of FAULT it waits the whole interval; an owner one interval", () => {
		const back = new Subject().elected().feed(faulty(100)).feed(healthy(100), SECOND);
		expect([back.router.state, back.waitMicros]).toEqual(["BACKUP", 3_609_375]);
		const owner = new Subject({ priority: 255, initialState: "MASTER" }).feed(faulty(255)).feed(healthy(255));
		expect([owner.router.state, owner.waitMicros]).toEqual(["BACKUP", 1_003_906]);
	});
});

describe("RFC 6527: what VRRPV3-MIB wants to know", () => {
	test("why it became master the last time, also when it is none any more", () => {
		const subject = new Subject({ priority: 100, preempt: true });
		expect(subject.router.masterReason).toBe("not-master");
		expect(subject.elected().router.masterReason).toBe("no-response");
		subject.feed(advert(200));
		expect([subject.router.state, subject.router.masterReason]).toEqual(["BACKUP", "no-response"]);
		expect(subject.feed(advert(0), SECOND).elected().router.masterReason).toBe("priority");
		subject.feed(advert(200)).feed(advert(50), SECOND);
		expect(subject.elected().router.masterReason).toBe("preempted");
	});
	test("the owner of the addresses always preempts; a sync group has one reason for all", () => {
		const owner = new Subject({ priority: 255, initialState: "MASTER" });
		expect([owner.router.state, owner.router.masterReason]).toEqual(["MASTER", "preempted"]);
		const follower = new Subject().feed({ kind: "group-master", by: "VI_1", masterReason: "priority" });
		expect([follower.router.state, follower.router.masterReason]).toEqual(["MASTER", "priority"]);
	});
	test("since when it takes part: over BACKUP and MASTER, anew after a FAULT", () => {
		expect(newRouter(instanceOf(), 0).takesPartSinceMicros).toBeNull();
		const subject = new Subject().elected();
		expect([subject.router.state, subject.router.takesPartSinceMicros]).toEqual(["MASTER", 0]);
		expect(subject.feed(faulty(100), SECOND).router.takesPartSinceMicros).toBeNull();
		subject.feed(healthy(100), SECOND);
		expect(subject.router.takesPartSinceMicros).toBe(subject.nowMicros);
	});
	test("the last protocol error; others are none", () => {
		const subject = new Subject();
		const after = (refusal: RefusalKind) => {
			const event = refused(50) as Extract<RouterEvent, { kind: "packet" }>;
			const verdict = { ...event.verdict, refusal } as Verdict;
			return subject.feed({ ...event, verdict }).router.lastProtocolError;
		};
		expect(subject.router.lastProtocolError).toBeNull();
		const refusals = ["version", "hop-limit", "interval", "checksum"] as const;
		expect(refusals.map(after)).toEqual(["version", "hop-limit", "hop-limit", "checksum"]);
	});
	test("who watches is told of a protocol error, however many there are, once a minute", () => {
		const subject = new Subject();
		const event = refused(50) as Extract<RouterEvent, { kind: "packet" }>;
		const told = (refusal: RefusalKind, afterMicros: number) => {
			const verdict = { ...event.verdict, refusal } as Verdict;
			subject.feed({ ...event, verdict }, afterMicros);
			return subject.actions.filter(({ kind }) => kind === "protocol-error");
		};
		expect(told("interval", 0)).toEqual([]);
		expect(told("version", 0)).toEqual([{ kind: "protocol-error", error: "version" }]);
		for (let second = 0; second < 59; second++) expect(told("checksum", SECOND)).toEqual([]);
		expect(told("checksum", SECOND)).toEqual([{ kind: "protocol-error", error: "checksum" }]);
		expect(told("checksum", 0)).toEqual([]);
	});
});

describe("keepalived's announcements", () => {
	const garp = { ...instanceOf().garp, delayMs: 2000, repeat: 3, refreshMs: 10_000, refreshRepeat: 2 };
	test("a second burst after garp_master_delay, then the refreshes", () => {
		const subject = new Subject({ garp }).elected();
		expect(subject.announced).toBe(3);
		expect(subject.feed(timer, 2 * SECOND).announced).toBe(3);
		expect(subject.feed(timer, 9 * SECOND).announced).toBe(0);
		expect(subject.feed(timer, 1 * SECOND).announced).toBe(2);
		expect(subject.feed(timer, 10 * SECOND).announced).toBe(2);
	});
	test("no delay: no second burst; none is pending after mastership", () => {
		const subject = new Subject({ garp: { ...garp, delayMs: 0, refreshMs: 0 } }).elected();
		expect(standing(subject.router).wakeAtMicros).toBeNull();
		expect(standing(new Subject({ garp }).elected().feed(advert(200)).router).wakeAtMicros).toBeNull();
	});
	test("unicast out of FAULT announces its own address", () => {
		const unicastPeers = [{ address: "192.0.2.9", minTtl: null, maxTtl: null }];
		const subject = new Subject({ unicastPeers }).feed(faulty(100)).feed(healthy(100));
		expect(subject.actions.some(({ kind }) => kind === "announce-source")).toBe(true);
	});
});

describe("pauses and the operator", () => {
	test("a gap within the lease is logged; beyond it a preempting master speaks up, another one steps down", () => {
		const short = new Subject().elected().feed({ kind: "overdue", gapMicros: 2 * SECOND });
		expect([short.router.state, short.sent]).toEqual(["MASTER", []]);
		const long = new Subject().elected().feed({ kind: "overdue", gapMicros: 9 * SECOND });
		expect([long.router.state, long.sent, long.announced]).toEqual(["MASTER", [100], 5]);
		const polite = new Subject({ preempt: false }).elected().feed({ kind: "overdue", gapMicros: 9 * SECOND });
		expect(polite.router.state).toBe("BACKUP");
	});
	test("who resigned preempts nobody, takes over from nobody, and can be told to take over", () => {
		const subject = new Subject().elected().feed({ kind: "resign", reason: "operator" });
		expect([subject.router.state, subject.sent]).toEqual(["BACKUP", [0]]);
		expect(subject.feed(advert(1)).waitMicros).toBe(3_609_375);
		expect(subject.feed({ kind: "take-over", reason: "operator" }).router.state).toBe("MASTER");
		expect(subject.router.resigned).toBe(false);
	});
	test("a router is plain data", () => {
		const { router } = new Subject({ virtualAddresses: [addressOf("192.0.2.200/24")] })
			.elected()
			.feed(advert(99));
		expect(JSON.parse(JSON.stringify(router))).toEqual(router);
	});
});

describe("RFC 9568 §6.1, §6.4.3: two routers that both own the addresses", () => {
	const owner = { priority: 255, initialState: "MASTER" } as const;
	test("the lower address yields, says why, and obeys", () => {
		const subject = new Subject(owner);
		expect(subject.router.state).toBe("MASTER");
		subject.feed(advert(255), SECOND);
		expect(subject.router.state).toBe("BACKUP");
		expect(JSON.stringify(subject.actions)).toContain("192.0.2.9 owns the addresses as well");
		subject.feed(advert(255), SECOND).feed(timer, SECOND);
		expect(subject.router.state).toBe("BACKUP");
	});
	test("the higher address stays and answers", () => {
		const subject = new Subject(owner).feed(advert(255, "192.0.2.0"), SECOND);
		expect(subject.router.state).toBe("MASTER");
		expect(subject.sent).toEqual([255]);
		expect(subject.router.conflict?.source).toBe("192.0.2.0");
	});
});

test("garp_extra_if: announcements elsewhere while master, and no longer", () => {
	const garp = { ...instanceOf().garp, delayMs: 0, elsewhereMs: 60_000 };
	const subject = new Subject({ garp }).elected();
	expect(standing(subject.router).wakeAtMicros).toBe(subject.nowMicros + 60 * SECOND);
	subject.feed(timer, 60 * SECOND);
	expect(subject.actions.map(({ kind }) => kind)).toEqual(["announce-elsewhere"]);
	subject.feed(advert(110), SECOND);
	expect(subject.router.elsewhereAtMicros).toBeNull();
});
