/*
 * Constant-rate load. Request number n is due at n/RATE seconds, whether or not earlier ones were answered, and its
 * latency counts from the moment it was due: a server that stalls pays for every request of the stall, not for
 * one per connection ("coordinated omission").
 *
 *   rate PORT RATE SECONDS CONNECTIONS FILE [MODULUS]
 *
 * RATE 0: each connection asks again as soon as it is answered, for SECONDS. Latencies count from the request then.
 *
 * FILE holds one request; eight digits "########" in it become a number drawn below MODULUS. Answers must have a Content-Length.
 * Prints: sent answered errors p50 p90 p99 p99.9 max, latencies in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* More answers a second are not to be expected of one core. */
enum { CLOSED_LOOP_LIMIT = 1000000 };
enum { CONNECTION_LIMIT = 4096, EVENTS = 256, REQUEST_BYTES = 8192, HEAD_BYTES = 4096, RECEIVE_BYTES = 1 << 16 };

struct connection {
	int socket;
	int64_t due;  /* nanoseconds; of the request under way, 0 when idle */
	size_t head;  /* bytes of the head gathered so far */
	int64_t left; /* bytes of the body still to come; -1 while the head is read */
	char text[HEAD_BYTES + 1];
};

static struct connection connections[CONNECTION_LIMIT];
static struct connection *idle[CONNECTION_LIMIT];
static int idle_count;
static uint32_t *latencies;
static int64_t answered, errors;

static int64_t now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int by_size(const void *left, const void *right) {
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
	return (a > b) - (a < b);
}

static void done(struct connection *each, int64_t limit) {
	if (answered < limit)
		latencies[answered] = (uint32_t)((now() - each->due) / 1000);
	answered++;
	each->due = 0;
	each->head = 0;
	each->left = -1;
	idle[idle_count++] = each;
}

/* Takes received bytes; 0 when the connection is of no more use. */
static int take(struct connection *each, const char *bytes, size_t count, int64_t limit) {
	while (count > 0) {
		if (each->left < 0) {
			size_t room = HEAD_BYTES - each->head, part = count < room ? count : room;
			memcpy(each->text + each->head, bytes, part);
			each->text[each->head + part] = 0;
			char *end = strstr(each->text, "\r\n\r\n");
			if (end == NULL) {
				if (part == room)
					return 0;
				each->head += part;
				return 1;
			}
			size_t used = (size_t)(end + 4 - each->text) - each->head;
			char *length = strcasestr(each->text, "\r\ncontent-length:");
			if (length == NULL || strncmp(each->text, "HTTP/1.1 200", 12) != 0)
				return 0;
			each->left = atoll(length + 17);
			bytes += used;
			count -= used;
			if (each->left == 0)
				done(each, limit);
			continue;
		}
		size_t part = (int64_t)count < each->left ? count : (size_t)each->left;
		each->left -= (int64_t)part;
		bytes += part;
		count -= part;
		if (each->left == 0)
			done(each, limit);
	}
	return 1;
}

int main(int argc, char **argv) {
	if (argc < 6) {
		fprintf(stderr, "usage: rate PORT RATE SECONDS CONNECTIONS FILE [MODULUS]\n");
		return 2;
	}
	const double rate = atof(argv[2]), seconds = atof(argv[3]);
	const int closed_loop = rate == 0;
	const int64_t total = closed_loop ? (int64_t)(seconds * CLOSED_LOOP_LIMIT) : (int64_t)(rate * seconds);
	const int64_t modulus = argc > 6 ? atoll(argv[6]) : 1;
	const int count = atoi(argv[4]);
	if (count < 1 || count > CONNECTION_LIMIT || total < 1)
		return 2;
	static char request[REQUEST_BYTES + 1], received[RECEIVE_BYTES];
	int file = open(argv[5], O_RDONLY);
	ssize_t length = read(file, request, REQUEST_BYTES);
	if (length <= 0)
		return 2;
	char *number = memmem(request, (size_t)length, "########", 8);
	latencies = calloc((size_t)total, sizeof *latencies);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1])),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int poll = epoll_create1(0);
	for (int index = 0; index < count; index++) {
		struct connection *each = &connections[index];
		each->socket = socket(AF_INET, SOCK_STREAM, 0);
		each->left = -1;
		const int one = 1;
		if (connect(each->socket, (struct sockaddr *)&address, sizeof address) != 0) {
			perror("rate: cannot connect");
			return 1;
		}
		setsockopt(each->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		fcntl(each->socket, F_SETFL, O_NONBLOCK);
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = each};
		epoll_ctl(poll, EPOLL_CTL_ADD, each->socket, &event);
		idle[idle_count++] = each;
	}
	uint64_t random = 88172645463325252ULL;
	const int64_t start = now() + 10000000, end = start + (int64_t)(seconds * 1e9), give_up = end + 5000000000LL;
	int64_t sent = 0;
	struct epoll_event events[EVENTS];
	while (answered + errors < (closed_loop && now() >= end ? sent : total) && now() < give_up) {
		while (sent < total && idle_count > 0) {
			int64_t due = closed_loop ? now() : start + (int64_t)(sent * 1e9 / rate);
			if (closed_loop ? due >= end : due > now())
				break;
			struct connection *each = idle[--idle_count];
			if (number != NULL) {
				random ^= random << 13;
				random ^= random >> 7;
				random ^= random << 17;
				uint64_t value = random % (uint64_t)modulus;
				for (int digit = 7; digit >= 0; digit--, value /= 10)
					number[digit] = (char)('0' + value % 10);
			}
			each->due = due;
			sent++;
			if (send(each->socket, request, (size_t)length, MSG_NOSIGNAL) != length)
				errors++;
		}
		/*
		 * Sleeping would add the kernel's wake-up to the latency: the wait is active near the next due time, and
		 * always where as much is asked for as can be had, since whoever answers a sleeper pays for waking it.
		 */
		int64_t next = 1000000;
		if (!closed_loop && sent < total && idle_count > 0)
			next = start + (int64_t)(sent * 1e9 / rate) - now();
		int ready = epoll_wait(poll, events, EVENTS, !closed_loop && next > 2000000 ? 1 : 0);
		for (int index = 0; index < ready; index++) {
			struct connection *each = events[index].data.ptr;
			ssize_t got = recv(each->socket, received, sizeof received, 0);
			if (got < 0 && errno == EAGAIN)
				continue;
			if (got <= 0 || !take(each, received, (size_t)got, total)) {
				if (each->due != 0)
					errors++;
				close(each->socket);
			}
		}
	}
	int64_t kept = answered < total ? answered : total;
	qsort(latencies, (size_t)kept, sizeof *latencies, by_size);
	const double points[] = {0.5, 0.9, 0.99, 0.999};
	printf("%lld %lld %lld", (long long)sent, (long long)answered, (long long)((closed_loop ? sent : total) - answered));
	for (int index = 0; index < 4; index++)
		printf(" %u", kept > 0 ? latencies[(int64_t)((double)(kept - 1) * points[index])] : 0);
	printf(" %u\n", kept > 0 ? latencies[kept - 1] : 0);
	return 0;
}
