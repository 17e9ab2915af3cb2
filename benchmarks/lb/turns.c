// SPDX-License-Identifier: Apache-2.0
/*
 * The two ends of the connections `./run bench lb` measures, with nothing in them but system calls.
 *
 *   turns serve COUNT              listens on COUNT loopback ports, says them, and answers 64 bytes
 *                                  on every connection until its caller closes
 *   turns call                     reads orders from stdin, "COUNT" and COUNT times "ADDRESS PORT":
 *                                  connects to each, sends 64 bytes, reads 64, closes; says ns a turn
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 64
#define BACKLOG 1024
#define PORTS_MAX 16

static int die(const char *doing)
{
	fprintf(stderr, "%s: %s\n", doing, strerror(errno));
	exit(1);
}

static int listener(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, size) || listen(fd, BACKLOG))
		die("listening");
	getsockname(fd, (struct sockaddr *)&at, &size);
	printf("%d ", ntohs(at.sin_port));
	return fd;
}

static void watch(int poll, int fd, int is_door)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = (uint64_t)is_door << 32 | fd };

	if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event))
		die("watching a socket");
}

/* A caller sends its 64 bytes in one segment. */
static void answer(int fd)
{
	char block[BLOCK];
	ssize_t size = read(fd, block, BLOCK);

	if (size <= 0 || write(fd, block, size) != size)
		close(fd);
}

static void serve(int count)
{
	struct epoll_event events[64];
	int poll = epoll_create1(0);

	for (int i = 0; i < count; i++)
		watch(poll, listener(), 1);
	printf("\n");
	fflush(stdout);
	for (;;) {
		int ready = epoll_wait(poll, events, 64, -1);

		for (int i = 0; i < ready; i++) {
			int fd = (int)events[i].data.u64;

			if (!(events[i].data.u64 >> 32)) {
				answer(fd);
				continue;
			}
			while ((fd = accept4((int)events[i].data.u64, 0, 0, SOCK_NONBLOCK)) >= 0)
				watch(poll, fd, 0);
		}
	}
}

/* Closed by a reset, as load generators do: no port of ours is kept in TIME-WAIT. */
static void turn(const struct sockaddr_in *to)
{
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
	char block[BLOCK];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	memset(block, 'x', BLOCK);
	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)))
		die("connecting");
	if (write(fd, block, BLOCK) != BLOCK || recv(fd, block, BLOCK, MSG_WAITALL) != BLOCK)
		die("asking");
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

static struct sockaddr_in *targets(int count)
{
	struct sockaddr_in *to = calloc(count, sizeof(*to));
	char address[64];
	int port;

	for (int i = 0; to && i < count; i++) {
		if (scanf("%63s %d", address, &port) != 2)
			die("reading an order");
		to[i].sin_family = AF_INET;
		to[i].sin_port = htons(port);
		inet_pton(AF_INET, address, &to[i].sin_addr);
	}
	return to;
}

static void call(void)
{
	int count;

	while (scanf("%d", &count) == 1 && count > 0) {
		struct sockaddr_in *to = targets(count);
		struct timespec began, ended;
		double taken;

		clock_gettime(CLOCK_MONOTONIC, &began);
		for (int i = 0; i < count; i++)
			turn(&to[i]);
		clock_gettime(CLOCK_MONOTONIC, &ended);
		taken = (ended.tv_sec - began.tv_sec) * 1e9 + (ended.tv_nsec - began.tv_nsec);
		printf("%.1f\n", taken / count);
		fflush(stdout);
		free(to);
	}
}

int main(int count, char **words)
{
	if (count == 3 && !strcmp(words[1], "serve") && atoi(words[2]) <= PORTS_MAX)
		serve(atoi(words[2]));
	else if (count == 2 && !strcmp(words[1], "call"))
		call();
	else
		return fprintf(stderr, "turns serve COUNT | turns call\n"), 2;
	return 0;
}
