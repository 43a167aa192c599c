/*
 * /usr/bin/drover: one program, many names. A link called keepalived is `drover keepalived`. It gives Bun the settings
 * that suit the command, and becomes Bun. It stands for a shell script, whose shell and library take a start more time
 * than all that is done here; it needs no library.
 */
#include <asm/unistd.h>
#include <linux/auxvec.h>
#include <linux/fcntl.h>

#ifndef HOME
#define HOME "/usr/lib/drover/"
#endif
#ifndef PROCESSORS
#define PROCESSORS "/sys/devices/system/cpu/online"
#endif

/* Variables of all commands. A line may be a printer: Bun would colour what goes to a terminal. */
static const char *const of_all[] = { "NO_COLOR=1", 0 };

/*
 * On one processor, threads that collect and compile beside the director take it from the director; and pages that are
 * given back at once, to be needed again within the second (milliseconds), cost more than they save. What is compiled
 * is compiled in the director's own time: so only what runs often, by JavaScriptCore's count, and not for its last tenth.
 * Its heap collects first at a quarter of the largest size that it has for small ones: at 8 MB, in the midst of making a
 * table of 20,000 real servers, which takes 9 and of which nearly all is needed; with this, at 10.
 */
static const char *const of_director_alone[] = {
	"BUN_JSC_useConcurrentGC=0",
	"BUN_JSC_useConcurrentJIT=0",
	"BUN_JSC_useWarmUpMarkedBlocks=0",
	"BUN_JSC_useFTLJIT=0",
	"BUN_JSC_largeHeapSize=40000000",
	"BUN_JSC_thresholdForOptimizeAfterWarmUp=16000",
	"MIMALLOC_PURGE_DELAY=1000",
	0,
};

/*
 * JavaScriptCore lets garbage stand until its heap has 32 MB, or a quarter of the box's memory where that is less: here
 * it believes in 64 MB. The agent keeps seven, and throws away as much a second while it is walked.
 */
static const char *const of_snmp[] = { "BUN_JSC_forceRAMSize=64000000", 0 };

/*
 * A start runs most functions a few times. What is compiled after some hundred calls in place of some dozens costs it
 * less, and what serves for months comes to that many within its first second.
 */
static const char *const of_services[] = {
	"BUN_JSC_thresholdForJITSoon=2000",
	"BUN_JSC_thresholdForJITAfterWarmUp=4000",
	0,
};

/*
 * Bun's executable has the services in it. To all other programs it is Bun, which fetches nothing: what is optional and
 * missing is missing, without a word on the console.
 */
#define AS_BUN "BUN_BE_BUN="
static const char *const of_others[] = { AS_BUN "1", 0 };

enum { MOST_VARIABLES = 16, MOST_WORDS = 4 };

static long call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

static int is(const char *a, const char *b)
{
	for (; *a == *b; a++, b++)
		if (*a == 0)
			return 1;
	return 0;
}

/* Whether both are settings of one variable. */
static int same_variable(const char *a, const char *b)
{
	for (; *a == *b && *a != 0; a++, b++)
		if (*a == '=')
			return 1;
	return 0;
}

static const char *last_part(const char *path)
{
	const char *part = path;

	for (; *path != 0; path++)
		if (*path == '/')
			part = path + 1;
	return part;
}

/* Puts `settings` into `environment`, which has room, each in the place of the one that was there. */
static void set(const char **environment, const char *const *settings)
{
	for (; *settings != 0; settings++) {
		const char **at = environment;

		while (*at != 0 && !same_variable(*at, *settings))
			at++;
		if (*at == 0)
			at[1] = 0;
		*at = *settings;
	}
}

static void unset(const char **environment, const char *setting)
{
	const char **to = environment;

	for (; *environment != 0; environment++)
		if (!same_variable(*environment, setting))
			*to++ = *environment;
	*to = 0;
}

static int is_alone(void)
{
	char online[3];
	long fd = call(__NR_open, (long)PROCESSORS, O_RDONLY | O_CLOEXEC, 0);
	long got = call(__NR_read, fd, (long)online, sizeof(online));

	call(__NR_close, fd, 0, 0);
	return got == 2 && online[0] == '0' && online[1] == '\n';
}

/* `stack` is as the kernel leaves it (System V ABI, AMD64 supplement, 3.4.1): argc, words, variables, auxiliary vector. */
__attribute__((used, noreturn)) static void start(const char **stack)
{
	const char **given = stack + 2;
	const char **variables = given + (long)stack[0];
	const char *name = "drover";
	const char **end;
	long words = 0;
	long count = 0;

	while (variables[count] != 0)
		count++;
	/* What was started, whatever the caller calls it: a login shell is -drover. */
	for (end = variables + count + 1; end[0] != (const char *)AT_NULL; end += 2)
		if (end[0] == (const char *)AT_EXECFN)
			name = last_part(end[1]);

	const char *environment[count + MOST_VARIABLES];
	const char *line[(long)stack[0] + MOST_WORDS];
	const char **command = line + 3;

	for (long i = 0; i <= count; i++)
		environment[i] = variables[i];
	if (!is(name, "drover"))
		command[words++] = name;
	for (long i = 1; i < (long)stack[0]; i++)
		command[words++] = stack[i + 1];
	command[words] = 0;

	set(environment, of_all);
	if (words > 0 && is(command[0], "director") && is_alone())
		set(environment, of_director_alone);
	if (words > 0 && is(command[0], "snmp"))
		set(environment, of_snmp);
	if (words > 0 && (is(command[0], "vrrp") || is(command[0], "director") || is(command[0], "rehearse"))) {
		unset(environment, AS_BUN);
		set(environment, of_services);
	} else {
		set(environment, of_others);
		*--command = HOME "drover.js";
		*--command = "--no-install";
	}
	*--command = HOME "bun";
	call(__NR_execve, (long)command[0], (long)command, (long)environment);

	static const char text[] = "drover: cannot start " HOME "bun\n";

	call(__NR_write, 2, (long)text, sizeof(text) - 1);
	for (;;)
		call(__NR_exit, 127, 0, 0);
}

__asm__(".globl _start\n"
	"_start:\n"
	"xor %ebp, %ebp\n"
	"mov %rsp, %rdi\n"
	"and $-16, %rsp\n"
	"call start\n");
