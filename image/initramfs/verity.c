/*
 * verity NAME SECTORS TABLE: makes /dev/mapper/NAME from a device-mapper table of one line, read-only
 * (linux/dm-ioctl.h). It stands for dmsetup(8), whose libraries would be a third of the initramfs;
 * it needs no C library either.
 */
#include <asm/unistd.h>
#include <linux/dm-ioctl.h>
#include <linux/fcntl.h>
#include <linux/ioctl.h>

static long syscall3(long number, long a, long b, long c)
{
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

static unsigned long length(const char *text)
{
	unsigned long n = 0;
	while (text[n])
		n++;
	return n;
}

/* Returns the length, or 0 when the text does not fit. */
static unsigned long copy(char *to, const char *from, unsigned long limit)
{
	unsigned long n = length(from);
	if (n + 1 > limit)
		return 0;
	for (unsigned long i = 0; i <= n; i++)
		to[i] = from[i];
	return n;
}

/* The request, and behind it the one line of the table. */
static struct {
	struct dm_ioctl head;
	struct dm_target_spec target;
	char words[2048];
} request;

static long ask(int fd, unsigned long command, const char *name, unsigned int flags)
{
	request.head.version[0] = DM_VERSION_MAJOR;
	request.head.data_size = sizeof request;
	request.head.data_start = sizeof request.head;
	request.head.flags = flags;
	/* The last answer's; the kernel takes a name or a number, not both. */
	request.head.dev = 0;
	copy(request.head.name, name, sizeof request.head.name);
	return syscall3(__NR_ioctl, fd, (long)command, (long)&request);
}

static int fail(const char *what)
{
	syscall3(__NR_write, 2, (long)what, (long)length(what));
	return 1;
}

static int make(const char *name, const char *words, const char *sectors)
{
	long fd = syscall3(__NR_open, (long)"/dev/mapper/control", O_RDWR, 0);
	if (fd < 0)
		return fail("verity: the kernel's device mapper is not there\n");
	if (ask((int)fd, DM_DEV_CREATE, name, 0) < 0)
		return fail("verity: the device cannot be made\n");
	request.head.target_count = 1;
	request.target.sector_start = 0;
	request.target.length = 0;
	for (const char *digit = sectors; *digit >= '0' && *digit <= '9'; digit++)
		request.target.length = request.target.length * 10 + (unsigned long long)(*digit - '0');
	copy(request.target.target_type, "verity", sizeof request.target.target_type);
	if (copy(request.words, words, sizeof request.words) == 0)
		return fail("verity: the table is too long\n");
	if (ask((int)fd, DM_TABLE_LOAD, name, DM_READONLY_FLAG) < 0)
		return fail("verity: the table is refused\n");
	/* Without the suspend flag this is "resume": the device starts. */
	if (ask((int)fd, DM_DEV_SUSPEND, name, 0) < 0)
		return fail("verity: the device does not start\n");
	return 0;
}

/* The stack as the kernel leaves it: argc, argv. */
__attribute__((used)) static void start(long *stack)
{
	const char **words = (const char **)(stack + 1);
	int status = stack[0] == 4 ? make(words[1], words[3], words[2])
				   : fail("usage: verity NAME SECTORS TABLE\n");
	for (;;)
		syscall3(__NR_exit, status, 0, 0);
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
