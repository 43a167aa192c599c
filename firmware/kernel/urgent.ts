/**
 * The nice value of a thread that comes before others, but is not out of their reach: the engine's own helper threads
 * stay at 0 (new threads do not inherit a negative one under SCHED_RESET_ON_FORK), and with −20 this thread, spinning
 * for what a helper holds, would never let it run on a box with one processor. Nor does it get in the way of the
 * kernel's packet handling, as a real-time thread that computes for milliseconds would.
 */
export const URGENT_NICENESS = -5;
