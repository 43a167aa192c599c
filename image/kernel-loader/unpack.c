/*
 * Unpacks the kernel: freestanding, with the decoder of Debian's libzstd. What comes out is the kernel's image
 * from its first byte on, as its ELF segments lie in memory, and behind it the places that hold addresses.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include <stddef.h>
#include <stdint.h>
#include <zstd.h>

/* start.S: the packed kernel. PACKED_BYTES, KERNEL_BYTES and CODE_BYTES come from image/repack-kernel.ts. */
extern const char packed[] __attribute__((visibility("hidden")));

/* Documentation/arch/x86/x86_64/mm.rst: where the kernel is mapped, and how much of that it may use. */
#define KERNEL_MAP 0xffffffff80000000ull
#define LINKED_OFFSET 0x1000000ull
#define KERNEL_ROOM (1024ull * 1024 * 1024)
#define ALIGNMENT 0x200000ull
/* Documentation/arch/x86/boot.rst: loadflags in boot_params, and its bit 1, KASLR_FLAG. */
#define LOADFLAGS_OFFSET 0x211
#define KASLR_FLAG 2

#define WORKSPACE_BYTES (256 * 1024)
static char workspace[WORKSPACE_BYTES] __attribute__((aligned(16)));

void *memcpy(void *to, const void *from, size_t count)
{
	void *start = to;
	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"((size_t){ count / 8 }) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"((size_t){ count % 8 }) : : "memory");
	return start;
}

void *memmove(void *to, const void *from, size_t count)
{
	char *t = to;
	const char *f = from;
	if (t <= f || t >= f + count)
		return memcpy(to, from, count);
	while (count-- > 0)
		t[count] = f[count];
	return to;
}

void *memset(void *to, int byte, size_t count)
{
	void *start = to;
	uint64_t pattern = (uint8_t)byte * 0x0101010101010101ull;
	__asm__ volatile("rep stosq" : "+D"(to), "+c"((size_t){ count / 8 }) : "a"(pattern) : "memory");
	__asm__ volatile("rep stosb" : "+D"(to), "+c"((size_t){ count % 8 }) : "a"(pattern) : "memory");
	return start;
}

/* A damaged kernel must not hang: the loader counts a restart. */
__attribute__((noreturn)) static void restart(void)
{
	/* The keyboard controller pulls the reset line. */
	__asm__ volatile("outb %0, $0x64" : : "a"((uint8_t)0xfe));
	for (;;)
		__asm__ volatile("hlt");
}

void __stack_chk_fail(void)
{
	restart();
}

static uint64_t random64(void)
{
	uint32_t low, high, a = 1, b, c = 0, d;
	uint64_t word = 0;
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	if (c & (1u << 30))
		for (int tries = 0; tries < 10; tries++) {
			uint8_t ok;
			__asm__ volatile("rdrand %0; setc %1" : "=r"(word), "=qm"(ok));
			if (ok)
				break;
		}
	word ^= ((uint64_t)high << 32 | low) * 0x9e3779b97f4a7c15ull;
	return word ^ word >> 29;
}

/*
 * Calls and jumps were packed with the place that they lead to, which repeats, in place of the distance, which does
 * not. The inverse of withPlaces() in image/repack-kernel.ts, which says why nothing is ambiguous.
 */
static void restoreDistances(uint8_t *code)
{
	for (uint32_t at = 0; at + 12 < CODE_BYTES;) {
		/* Eight bytes without a call (e8) or a jump (e9) are passed at once. */
		uint64_t other = (*(uint64_t *)(code + at) & 0xfefefefefefefefeull) ^ 0xe8e8e8e8e8e8e8e8ull;
		uint64_t found = (other - 0x0101010101010101ull) & ~other & 0x8080808080808080ull;
		if (found == 0) {
			at += 8;
			continue;
		}
		at += (uint32_t)__builtin_ctzll(found) / 8;
		if (at + 12 >= CODE_BYTES)
			return;
		at++;
		uint32_t *word = (uint32_t *)(code + at);
		uint32_t next = at + 4, place = __builtin_bswap32(*word), distance = *word;
		if (place < CODE_BYTES)
			distance = place - next;
		else
			while (distance + next < CODE_BYTES)
				distance = __builtin_bswap32(distance + next);
		*word = distance;
		at = next;
	}
}

/*
 * Moves the kernel to a random place among its virtual addresses (KASLR). Behind the image lie the places that
 * hold an address, as 32-bit numbers to be read backwards: those of 32 bits, those that hold its negative, those of
 * 64 bits; a zero stands before each list.
 */
static void relocate(uint64_t image, uint64_t delta)
{
	const int32_t *place = (const int32_t *)(image + KERNEL_BYTES);
#define AT(type) (*(type *)(image + ((uint64_t)(int64_t)*place - KERNEL_MAP - LINKED_OFFSET)))
	for (place--; *place != 0; place--)
		AT(uint32_t) += (uint32_t)delta;
	for (place--; *place != 0; place--)
		AT(uint32_t) -= (uint32_t)delta;
	for (place--; *place != 0; place--)
		AT(uint64_t) += delta;
}

/* Unpacks the kernel to `image`; returns its 64-bit entry. */
uint64_t unpack(uint64_t image, uint64_t boot_params)
{
	ZSTD_DCtx *context = ZSTD_initStaticDCtx(workspace, sizeof workspace);
	if (context == NULL)
		restart();
	size_t made = ZSTD_decompressDCtx(context, (void *)image, KERNEL_BYTES, packed, PACKED_BYTES);
	if (made != KERNEL_BYTES)
		restart();
	restoreDistances((uint8_t *)image);
	uint64_t places = (KERNEL_ROOM - LINKED_OFFSET - KERNEL_BYTES) / ALIGNMENT;
	relocate(image, random64() % places * ALIGNMENT);
	*(uint8_t *)(boot_params + LOADFLAGS_OFFSET) |= KASLR_FLAG;
	return image;
}

/* Forms of zstd from before its first release: nothing is packed like that. */
#define OLD_FORM(name)           \
	uint64_t name(void)            \
	{                              \
		restart();                   \
	}
OLD_FORM(ZSTDv05_createDCtx)
OLD_FORM(ZSTDv05_decompress_usingDict)
OLD_FORM(ZSTDv05_findFrameSizeInfoLegacy)
OLD_FORM(ZSTDv05_freeDCtx)
OLD_FORM(ZSTDv05_getFrameParams)
OLD_FORM(ZSTDv06_createDCtx)
OLD_FORM(ZSTDv06_decompress_usingDict)
OLD_FORM(ZSTDv06_findFrameSizeInfoLegacy)
OLD_FORM(ZSTDv06_freeDCtx)
OLD_FORM(ZSTDv06_getFrameParams)
OLD_FORM(ZSTDv07_createDCtx)
OLD_FORM(ZSTDv07_decompress_usingDict)
OLD_FORM(ZSTDv07_findFrameSizeInfoLegacy)
OLD_FORM(ZSTDv07_freeDCtx)
OLD_FORM(ZSTDv07_getFrameParams)
OLD_FORM(ZBUFFv05_createDCtx)
OLD_FORM(ZBUFFv05_decompressContinue)
OLD_FORM(ZBUFFv05_decompressInitDictionary)
OLD_FORM(ZBUFFv05_freeDCtx)
OLD_FORM(ZBUFFv06_createDCtx)
OLD_FORM(ZBUFFv06_decompressContinue)
OLD_FORM(ZBUFFv06_decompressInitDictionary)
OLD_FORM(ZBUFFv06_freeDCtx)
OLD_FORM(ZBUFFv07_createDCtx)
OLD_FORM(ZBUFFv07_decompressContinue)
OLD_FORM(ZBUFFv07_decompressInitDictionary)
OLD_FORM(ZBUFFv07_freeDCtx)

/* The context lies in the workspace. */
void *malloc(size_t count)
{
	(void)count;
	return NULL;
}

void *calloc(size_t count, size_t size)
{
	(void)count, (void)size;
	return NULL;
}

void free(void *place)
{
	(void)place;
}
