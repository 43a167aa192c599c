/**
 * Words that the kernel gets at every start, from a disk or in the lab.
 *
 * no5lvl: page tables of four levels reach 64 TB of memory; a fifth is one more step for every page that is looked up.
 * cryptomgr.notests: each cipher's code is not run over its known answers first; others' kernels are built without that.
 */
export const kernelWords = "quiet loglevel=3 panic=10 no5lvl cryptomgr.notests";
