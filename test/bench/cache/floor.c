/*
 * The least that a server of 1 KB answers can cost: one epoll loop, one read and one write per request, one
 * fixed answer, nothing parsed. What any cache spends beyond this is its own.
 *
 *   floor PORT
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, RECEIVE_BYTES = 65536, BODY_BYTES = 1024 };

int main(int argc, char **argv) {
	if (argc != 2) {
		fprintf(stderr, "usage: floor PORT\n");
		return 2;
	}
	static char answer[2048], received[RECEIVE_BYTES];
	int head = snprintf(answer, sizeof answer,
	    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: max-age=3600\r\n"
	    "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nX-Varnish: 1 2\r\nAge: 0\r\n"
	    "Via: 1.1 varnish (Varnish/7.1)\r\nAccept-Ranges: bytes\r\nX-Cache: HIT\r\n"
	    "Content-Length: %d\r\nConnection: keep-alive\r\n\r\n", BODY_BYTES);
	memset(answer + head, 'x', BODY_BYTES);
	const size_t length = (size_t)head + BODY_BYTES;

	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int one = 1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1])),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1024) != 0) {
		perror("floor: cannot listen");
		return 1;
	}
	int poll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
	epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
	struct epoll_event events[EVENTS];
	for (;;) {
		int count = epoll_wait(poll, events, EVENTS, -1);
		for (int each = 0; each < count; each++) {
			int socket = events[each].data.fd;
			if (socket == listener) {
				int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
				if (client < 0)
					continue;
				setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
				event.events = EPOLLIN;
				event.data.fd = client;
				epoll_ctl(poll, EPOLL_CTL_ADD, client, &event);
				continue;
			}
			ssize_t got = recv(socket, received, sizeof received, 0);
			if (got <= 0 && !(got < 0 && errno == EAGAIN))
				close(socket);
			else if (got > 0 && send(socket, answer, length, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
				close(socket);
		}
	}
}
