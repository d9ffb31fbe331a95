/*
 * test_dns_glue.c - recursion from the root, where a domain's owner names name servers on this
 * machine and in private networks. A network namespace in which every address is this process's:
 * it is the root, and hears what the others are asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"
#include "shared/dns/dns.h"

#define ROOT "198.41.0.4" /* a.root-servers.net, but all of them are here */
#define TYPE_A 1
#define TYPE_NS 2
#define TYPE_MX 15
#define TYPE_AAAA 28

static const char *const inside[] = { "127.0.0.9", "10.0.0.9", "172.16.0.9", "192.168.0.9",
	"169.254.169.254", "100.64.0.9" };
#define INSIDE (sizeof inside / sizeof *inside)
/* What the root's servers and these are in. */
static const char *const ours[] = { "170.1.1.1", "192.1.1.1", "193.1.1.1", "198.1.1.1", "199.1.1.1",
	"202.1.1.1", "10.1.1.1", "172.1.1.1", "169.1.1.1", "100.1.1.1" };

static int sockets[2];
static atomic_uint root_asked, others_asked;
static char first_asked[INET6_ADDRSTRLEN];

struct packet {
	uint8_t bytes[2048];
	size_t length;
};

static void
put16(struct packet *packet, unsigned value)
{
	packet->bytes[packet->length++] = (uint8_t)(value >> 8);
	packet->bytes[packet->length++] = (uint8_t)value;
}

static void
put_name(struct packet *packet, const char *name)
{
	for (size_t n; *name; name += n + (name[n] == '.')) {
		n = strcspn(name, ".");
		packet->bytes[packet->length++] = (uint8_t)n;
		memcpy(packet->bytes + packet->length, name, n);
		packet->length += n;
	}
	packet->bytes[packet->length++] = 0;
}

/* An address, or a name. */
static void
put_record(struct packet *packet, const char *name, unsigned type, const char *data)
{
	size_t at;

	put_name(packet, name);
	put16(packet, type);
	put16(packet, 1);
	put16(packet, 0);
	put16(packet, 600);
	at = packet->length;
	put16(packet, 0);
	if (type == TYPE_NS)
		put_name(packet, data);
	else
		packet->length += inet_pton(type == TYPE_A ? AF_INET : AF_INET6, data,
					  packet->bytes + packet->length) == 1
			? (type == TYPE_A ? 4 : 16)
			: 0;
	packet->bytes[at] = (uint8_t)((packet->length - at - 2) >> 8);
	packet->bytes[at + 1] = (uint8_t)(packet->length - at - 2);
}

/* The root's servers, or to `example`, whose servers are all inside. */
static void
answer(struct packet *packet, size_t question_end, bool priming)
{
	char name[32];

	packet->length = question_end;
	packet->bytes[2] = 0x80 | (priming ? 4 : 0);
	packet->bytes[3] = 0;
	memset(packet->bytes + 6, 0, 6);
	if (priming) {
		packet->bytes[7] = 1;
		put_record(packet, "", TYPE_NS, "a.root-servers.net");
		packet->bytes[11] = 1;
		put_record(packet, "a.root-servers.net", TYPE_A, ROOT);
		return;
	}
	for (size_t i = 0; i <= INSIDE; i++) {
		snprintf(name, sizeof name, "ns%zu.example", i);
		put_record(packet, "example", TYPE_NS, name);
	}
	packet->bytes[9] = INSIDE + 1;
	for (size_t i = 0; i <= INSIDE; i++) {
		snprintf(name, sizeof name, "ns%zu.example", i);
		put_record(packet, name, i < INSIDE ? TYPE_A : TYPE_AAAA,
			i < INSIDE ? inside[i] : "::1");
	}
	packet->bytes[11] = INSIDE + 1;
}

static bool
is_inside(const struct in_addr *address)
{
	bool found = false;

	for (size_t i = 0; i < INSIDE; i++)
		found |= address->s_addr == inet_addr(inside[i]);
	return found;
}

static void
hear(struct packet *packet, struct msghdr *message)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(message);
	struct in_pktinfo *info = control ? (struct in_pktinfo *)CMSG_DATA(control) : NULL;
	struct iovec part = { packet->bytes, 0 };
	size_t end = 12;

	if (!info || control->cmsg_level != IPPROTO_IP || is_inside(&info->ipi_addr)) {
		if (atomic_fetch_add(&others_asked, 1) == 0)
			inet_ntop(info ? AF_INET : AF_INET6,
				info ? (void *)&info->ipi_addr : (void *)&in6addr_loopback,
				first_asked, sizeof first_asked);
		return;
	}
	atomic_fetch_add(&root_asked, 1);
	while (end < packet->length && packet->bytes[end])
		end += packet->bytes[end] + 1u;
	answer(packet, end + 5, end == 12);
	part.iov_len = packet->length;
	message->msg_iov = &part;
	info->ipi_ifindex = 0;
	info->ipi_spec_dst = info->ipi_addr;
	if (sendmsg(sockets[0], message, 0) < 0)
		die("the root cannot answer", strerror(errno));
}

static void *
serve(void *arg)
{
	int fd = *(int *)arg;

	for (;;) {
		struct sockaddr_storage from;
		struct packet packet;
		struct iovec part = { packet.bytes, sizeof packet.bytes };
		char control[256];
		struct msghdr message = { .msg_name = &from,
			.msg_namelen = sizeof from,
			.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof control };
		ssize_t got = recvmsg(fd, &message, 0);

		if (got <= 12)
			return NULL;
		packet.length = (size_t)got;
		hear(&packet, &message);
	}
}

/* Every address of that /8 is this machine's. */
static void
own(int fd, const char *label, const char *address)
{
	struct ifreq request = { 0 };
	struct sockaddr_in *sa = (struct sockaddr_in *)&request.ifr_addr;

	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", label);
	sa->sin_family = AF_INET;
	sa->sin_addr.s_addr = inet_addr(address);
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &request), 0);
	sa->sin_addr.s_addr = inet_addr("255.0.0.0");
	assert_int_equal(ioctl(fd, SIOCSIFNETMASK, &request), 0);
}

static bool
make_world(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK };
	int fd, one = 1;

	if (unshare(CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
		snprintf(request.ifr_name, sizeof request.ifr_name, "lo:%zu", i);
		own(fd, request.ifr_name, ours[i]);
	}
	close(fd);
	sockets[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	sockets[1] = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	setsockopt(sockets[0], IPPROTO_IP, IP_PKTINFO, &one, sizeof one);
	setsockopt(sockets[1], IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	return bind(sockets[0],
		       (struct sockaddr *)&(struct sockaddr_in){
			       .sin_family = AF_INET, .sin_port = htons(53) },
		       sizeof(struct sockaddr_in)) == 0 &&
		bind(sockets[1],
			(struct sockaddr *)&(struct sockaddr_in6){
				.sin6_family = AF_INET6, .sin6_port = htons(53) },
			sizeof(struct sockaddr_in6)) == 0;
}

static void
on_result(void *arg, const struct dns_result *result)
{
	struct loop *loop = arg;

	assert_int_equal(result->status, DNS_FAILED);
	loop_stop(loop);
}

static void
no_domain_sends_questions_to_this_machine_or_its_neighbours(void **state)
{
	struct config config = { .dns.trust_anchor = (char *)"none" };
	pthread_t threads[2];
	struct loop *loop;
	struct dns *dns;

	(void)state;
	if (!make_world())
		skip();
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, serve, &sockets[i]), 0);
	loop = loop_new("dns");
	dns = dns_new(loop, &config, DNS_SENDER);
	assert_non_null(dns);
	dns_resolve(dns, "victim.example", TYPE_MX, on_result, loop);
	loop_run(loop);
	dns_free(&dns);
	loop_free(&loop);
	for (int i = 0; i < 2; i++) {
		shutdown(sockets[i], SHUT_RDWR);
		pthread_join(threads[i], NULL);
		close(sockets[i]);
	}
	assert_true(atomic_load(&root_asked) > 0);
	assert_string_equal(first_asked, "");
	assert_int_equal(atomic_load(&others_asked), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_domain_sends_questions_to_this_machine_or_its_neighbours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
