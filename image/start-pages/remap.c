/*
 * The entry of an executable whose pages are gathered (gathered-executable.ts): what a start needs lies side by side at
 * the file's end, and is mapped here to where it belongs, before the program's own entry runs. No library is there yet,
 * and the program's own read-only data are not either. It is mapped with its pages, which are all needed: each would
 * else be a fault, or a part of one.
 */
#include <stdint.h>

struct run {
	uint32_t page;		/* of the address space */
	uint32_t pages;
	uint32_t file_page;
};

struct table {
	uint64_t entry;		/* the program's own */
	uint64_t code;		/* from its first run of code to the last, */
	uint64_t code_bytes;	/* with nothing but code between */
	uint64_t runs;
	struct run run[];
};

extern const struct table table __attribute__((visibility("hidden")));

enum { SYS_WRITE = 1, SYS_OPEN = 2, SYS_CLOSE = 3, SYS_MMAP = 9, SYS_MPROTECT = 10, SYS_EXIT_GROUP = 231 };
enum { PROT_READ = 1, PROT_READ_EXEC = 5 };
enum { PAGE_SHIFT = 12, MAP_PRIVATE_FIXED_POPULATE = 0x8012, O_RDONLY_CLOEXEC = 02000000 };

static long call(long number, long a, long b, long c, long d, long e, long f)
{
	long result;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static void fail(void)
{
	static const char text[] = "drover: cannot map its own executable (is /proc mounted?)\n";

	call(SYS_WRITE, 2, (long)text, sizeof(text) - 1, 0, 0, 0);
	call(SYS_EXIT_GROUP, 127, 0, 0, 0, 0, 0);
}

/* Returns the program's entry. */
__attribute__((used)) static uint64_t remap(void)
{
	static const char self[] = "/proc/self/exe";
	long fd = call(SYS_OPEN, (long)self, O_RDONLY_CLOEXEC, 0, 0, 0, 0);
	uint64_t i;

	if (fd < 0)
		fail();
	for (i = 0; i < table.runs; i++) {
		const struct run *run = &table.run[i];
		long address = (long)run->page << PAGE_SHIFT;

		if (call(SYS_MMAP, address, (long)run->pages << PAGE_SHIFT, PROT_READ, MAP_PRIVATE_FIXED_POPULATE, fd,
			 (long)run->file_page << PAGE_SHIFT) != address)
			fail();
	}
	call(SYS_CLOSE, fd, 0, 0, 0, 0, 0);
	/*
	 * The code at once, and behind the rest: a kernel that is itself a program (user-mode Linux) hands pages that are
	 * there to its host with a change of protection, else one by one as they are met.
	 */
	if (call(SYS_MPROTECT, table.code, table.code_bytes, PROT_READ_EXEC, 0, 0, 0) != 0)
		fail();
	return table.entry;
}

/* The loader hands a function over in rdx (System V ABI, AMD64 supplement, 3.4.1). */
__asm__(".section .text.start,\"ax\"\n"
	"push %rdx\n"
	"sub $8, %rsp\n"
	"call remap\n"
	"add $8, %rsp\n"
	"pop %rdx\n"
	"jmp *%rax\n"
	".text\n");
