/*
 * Debian's ip takes two functions from libbsd, as strlcpy(3bsd) has them. Spares the image libbsd and libmd
 * (0.06 MB packed).
 */
#include <stddef.h>

static size_t length(const char *text)
{
	size_t bytes = 0;

	while (text[bytes] != '\0')
		bytes++;
	return bytes;
}

/* Gives the length of `source`: `size` or more when it did not fit. */
size_t strlcpy(char *target, const char *source, size_t size)
{
	size_t bytes = 0;

	if (size > 0) {
		for (; bytes + 1 < size && source[bytes] != '\0'; bytes++)
			target[bytes] = source[bytes];
		target[bytes] = '\0';
	}
	return length(source);
}

size_t strlcat(char *target, const char *source, size_t size)
{
	size_t used = 0;

	while (used < size && target[used] != '\0')
		used++;
	return used + strlcpy(target + used, source, size - used);
}
