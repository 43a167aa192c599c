/**
 * QEMU's emulated processor. All that it can emulate, but for two marks that say "copy and clear memory byte by byte, it
 * is fast": it is on a real processor, where the kernel does so, and is the slowest way through an emulator, which then
 * takes a tenth more for a whole start. Without them the kernel moves eight bytes at a time.
 */
export const PROCESSOR_MODEL = "max,erms=off,fsrm=off";
