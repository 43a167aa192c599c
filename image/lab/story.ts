/** The lab's story told once without a person: everything that `make run` has a key for, with what it cost. */
import type { DirectorName } from "./lab.ts";
import type { DirectorCondition, Session } from "./session.ts";

/** The tutorial's checks take up to delay_loop 6 s + 3 retries of 3 s, and the machine may be busy. */
const POOL_LIMIT_MS = 60_000;
const FAILOVER_LIMIT_MS = 30_000;
/** Two emulated boxes on a busy machine take minutes. */
const BOOT_LIMIT_MS = 300_000;
const SETTLE_MS = 3_000;

/** Throws naming the chapter that did not come true. */
export async function tellStory(session: Session): Promise<void> {
	const answeredBy = (...names: string[]) => {
		const rates = session.traffic.rates(Date.now(), SETTLE_MS);
		return names.every((name) => (rates.get(name) ?? 0) > 0) && rates.size === names.length;
	};
	const chapter = async (what: string, limitMs: number, isTrue: () => boolean) => {
		const started = Date.now();
		while (!isTrue()) {
			if (Date.now() - started > limitMs) throw new Error(`${what}: not within ${limitMs / 1000} s`);
			await Bun.sleep(50);
		}
		session.note(`  => ${what} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
	};
	const master = (name: DirectorName) => () => session.watch.master() === name;

	await chapter("director a is master", BOOT_LIMIT_MS, master("a"));
	await chapter("both web servers answer through the VIP", POOL_LIMIT_MS, () => answeredBy("web1", "web2"));

	await session.toggleWeb("web1");
	await chapter("web2 answers everything", POOL_LIMIT_MS, () => answeredBy("web2"));
	await session.toggleWeb("web1");
	await chapter("web1 is back in the pool", POOL_LIMIT_MS, () => answeredBy("web1", "web2"));

	const blows: readonly DirectorCondition[] = ["off", "cable pulled", "frozen"];
	for (const blow of blows) {
		await session.setCondition("a", blow);
		await chapter("director b is master and traffic flows", FAILOVER_LIMIT_MS, () => {
			return session.watch.view("b").vrrp?.instances[0]?.state === "MASTER" && answeredBy("web1", "web2");
		});
		await session.setCondition("a", "running");
		await chapter("director a is master again", BOOT_LIMIT_MS, () => {
			const gaveBack = session.watch.view("b").vrrp?.instances[0]?.state === "BACKUP";
			return gaveBack && master("a")() && answeredBy("web1", "web2");
		});
	}
}
