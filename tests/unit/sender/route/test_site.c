/*
 * test_site.c - routes and addresses against a real DNS server (nsd) with a root zone of its own.
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "sender/route/site_private.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/config/config.h"

static const char zone[] = "$ORIGIN .\n$TTL 300\n"
			   "@ SOA ns.example. root.example. 1 3600 600 86400 60\n"
			   "@ NS ns.example.\n"
			   "ns.example. A 127.0.0.1\n"
			   "one.example. MX 10 mx.one.example.\n"
			   "mx.one.example. A 198.51.99.1\n"
			   "mx.one.example. AAAA 2a00::1\n"
			   "two.example. MX 20 b.two.example.\n"
			   "two.example. MX 10 a.two.example.\n"
			   "twin.example. MX 10 a.two.example.\n"
			   "twin.example. MX 20 B.Two.Example.\n"
			   "implicit.example. A 198.51.99.2\n"
			   "implicit6.example. AAAA 2a00::2\n"
			   "null.example. MX 0 .\n"
			   "empty.example. TXT \"nothing\"\n"
			   "alias.example. CNAME one.example.\n"
			   "alias-a.example. CNAME implicit.example.\n"
			   "us-first.example. MX 10 relay.example.\n"
			   "us-first.example. MX 20 backup.us.example.\n"
			   "us-second.example. MX 10 main.us.example.\n"
			   "us-second.example. MX 20 Relay.example.\n"
			   "us-second.example. MX 20 same.us.example.\n"
			   "us-second.example. MX 30 late.us.example.\n"
			   "relay.example. A 198.51.99.3\n"
			   "equal.example. MX 10 a.equal.example.\n"
			   "equal.example. MX 10 b.equal.example.\n"
			   "equal.example. MX 10 c.equal.example.\n"
			   "equal.example. MX 5 first.equal.example.\n"
			   "twice.example. MX 10 mx.one.example.\n"
			   "twice.example. MX 20 mx.one.example.\n"
			   "google.example. MX 1 aspmx.l.google.com.\n"
			   "google.example. MX 5 alt1.aspmx.l.google.com.\n"
			   "tenant.example. MX 0 tenant-example.mail.protection.outlook.com.\n"
			   "broken-mx.example. MX 10 x.broken.example.\n"
			   "gone-mx.example. MX 10 nowhere.example.\n"
			   "private-mx.example. MX 10 private.example.\n"
			   "private.example. A 192.168.7.7\n"
			   "private.example. AAAA ::1\n"
			   "mixed-mx.example. MX 10 mixed.example.\n"
			   "mixed.example. A 10.1.2.3\n"
			   "mixed.example. A 198.51.99.9\n"
			   "url.example. MX 10 https://x.example.\n"
			   "url.example. MX 20 mx.one.example.\n"
			   "ip.example. MX 10 192.0.2.1.\n"
			   "ip.example. MX 20 mx.one.example.\n"
			   "null-too.example. MX 0 .\n"
			   "null-too.example. MX 20 mx.one.example.\n"
			   "all-bad.example. MX 10 https://x.example.\n"
			   "all-bad.example. MX 20 192.0.2.1.\n"
			   "all-bad.example. A 198.51.99.9\n"
			   "null-bad.example. MX 0 .\n"
			   "null-bad.example. MX 10 https://x.example.\n"
			   "odd-alias.example. CNAME a\\032b/c.example.\n"
			   "a\\032b/c.example. MX 10 mx.one.example.\n"
			   "odd-mx.example. MX 10 odd-mx-host.example.\n"
			   "odd-mx-host.example. CNAME a\\032host.example.\n"
			   "a\\032host.example. A 198.51.99.9\n"
			   "circle.example. CNAME circle2.example.\n"
			   "circle2.example. CNAME circle.example.\n";

static struct {
	char directory[64], forwarder[64];
	pid_t pid;
	char *forward[1];
} server;

static void
write_file(const char *name, const char *text)
{
	char path[200];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", server.directory, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void
write_many(void)
{
	char text[6000] = "";
	char *all;

	for (int i = 0; i < 30; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text),
			"many.example. MX %d mx%d.many.example.\n", 10 + i, i);
	all = xasprintf("%s%s", zone, text);
	write_file("root.zone", all);
	free(all);
}

static unsigned
free_port(void)
{
	struct net_address address;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	unsigned port;

	assert_int_equal(net_parse("127.0.0.1:0", &address), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address.sa, address.length), 0);
	assert_int_equal(net_local(fd, &address), 0);
	port = net_port(&address);
	close(fd);
	return port;
}

/* Until it answers a query for the root's SOA. */
static bool
answers(unsigned port)
{
	static const char query[] = "\0\1\1\0\0\1\0\0\0\0\0\0\0\0\6\0\1";
	char text[64], buffer[512];
	struct net_address address;
	struct pollfd poll_fd = { .fd = socket(AF_INET, SOCK_DGRAM, 0), .events = POLLIN };
	bool yes = false;

	snprintf(text, sizeof text, "127.0.0.1:%u", port);
	net_parse(text, &address);
	if (connect(poll_fd.fd, (struct sockaddr *)&address.sa, address.length) == 0 &&
		send(poll_fd.fd, query, sizeof query - 1, 0) > 0)
		yes = poll(&poll_fd, 1, 50) > 0 && read(poll_fd.fd, buffer, sizeof buffer) > 0;
	close(poll_fd.fd);
	return yes;
}

static void
write_config(unsigned port)
{
	const char *dir = server.directory;
	char *text = xasprintf(
		"server:\n ip-address: 127.0.0.1@%u\n username: \"\"\n chroot: \"\"\n"
		" zonesdir: \"%s\"\n database: \"\"\n pidfile: \"%s/pid\"\n"
		" xfrdfile: \"%s/xfrd\"\n xfrdir: \"%s\"\n zonelistfile: \"%s/zones\"\n"
		" server-count: 1\n rrl-ratelimit: 0\nremote-control:\n control-enable: no\n"
		"zone:\n name: \".\"\n zonefile: \"root.zone\"\n"
		"zone:\n name: \"broken.example\"\n zonefile: \"missing.zone\"\n",
		port, dir, dir, dir, dir, dir);

	write_file("nsd.conf", text);
	free(text);
}

/* False: it ended, since its port is taken (for TCP, or in the meantime). */
static bool
start_nsd(unsigned port)
{
	char config[200];
	int tries = 0;

	snprintf(server.forwarder, sizeof server.forwarder, "127.0.0.1:%u", port);
	write_config(port);
	snprintf(config, sizeof config, "%s/nsd.conf", server.directory);
	server.pid = fork();
	if (server.pid == 0) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(126);
		execlp("nsd", "nsd", "-d", "-c", config, (char *)NULL);
		_exit(127);
	}
	while (!answers(port)) {
		if (waitpid(server.pid, NULL, WNOHANG) != 0)
			return false;
		assert_true(++tries < 1000);
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	}
	return true;
}

static int
start_server(void **state)
{
	int tries = 0;

	(void)state;
	snprintf(server.directory, sizeof server.directory, "/tmp/shout-site-XXXXXX");
	assert_non_null(mkdtemp(server.directory));
	server.forward[0] = server.forwarder;
	write_many();
	while (!start_nsd(free_port()))
		assert_true(++tries < 20);
	return 0;
}

static int
stop_server(void **state)
{
	char *command;

	(void)state;
	kill(server.pid, SIGTERM);
	waitpid(server.pid, NULL, 0);
	command = xasprintf("rm -rf '%s'", server.directory);
	assert_int_equal(system(command), 0);
	free(command);
	return 0;
}

struct rig {
	struct config config;
	struct loop *loop;
	struct site_resolver *resolver;
	struct route *route;
	struct outcome failure;
	bool failed;
	unsigned waiting;
	size_t count;
	struct net_address addresses[10];
};

static void
rig_start(struct rig *rig)
{
	rig->config.hostname = (char *)"relay.example";
	if (!rig->config.sender.route)
		rig->config.sender.route = (char *)"mx";
	rig->config.sender.port = 2525;
	rig->config.sender.retry.max = 14400000;
	rig->config.dns.forward = server.forward;
	rig->config.dns.forward_count = 1;
	if (!rig->config.dns.trust_anchor)
		rig->config.dns.trust_anchor = (char *)"none";
	rig->loop = loop_new("test");
	rig->resolver = site_resolver_new(rig->loop, &rig->config);
	assert_non_null(rig->resolver);
}

static void
rig_end(struct rig *rig)
{
	route_unref(rig->route);
	site_resolver_free(&rig->resolver);
	loop_free(&rig->loop);
}

static void
note(struct rig *rig, const struct outcome *failure)
{
	rig->failed = failure;
	if (failure)
		rig->failure = *failure;
	assert_true(rig->waiting > 0);
	rig->waiting--;
}

static void
on_route(void *arg, struct route *route, const struct outcome *failure)
{
	struct rig *rig = arg;

	assert_true(!route != !failure);
	route_unref(rig->route);
	rig->route = route ? route_ref(route) : NULL;
	note(rig, failure);
}

static void
on_addresses(
	void *arg, const struct net_address *addresses, size_t count, const struct outcome *failure)
{
	struct rig *rig = arg;

	assert_true(!count != !failure);
	assert_true(count <= 10);
	rig->count = count;
	if (count)
		memcpy(rig->addresses, addresses, count * sizeof *addresses);
	note(rig, failure);
}

static void
rig_wait(struct rig *rig)
{
	while (rig->waiting)
		event_base_loop(loop_base(rig->loop), EVLOOP_ONCE);
}

static void
rig_route(struct rig *rig, const char *domain)
{
	rig->waiting++;
	site_route(rig->resolver, domain, "acme", on_route, rig);
	rig_wait(rig);
}

static void
rig_addresses(struct rig *rig, const char *domain)
{
	rig_route(rig, domain);
	assert_non_null(rig->route);
	rig->waiting++;
	site_addresses(rig->resolver, rig->route, 0, "acme", on_addresses, rig);
	rig_wait(rig);
}

static void
each_domain_has_its_route(void **state)
{
	static const struct {
		const char *domain, *site, *hosts;
	} rows[] = {
		{ "one.example", "mx.one.example", "mx.one.example" },
		{ "two.example", NULL, "a.two.example b.two.example" },
		{ "implicit.example", "implicit.example", "implicit.example" },
		{ "implicit6.example", "implicit6.example", "implicit6.example" },
		{ "alias.example", "mx.one.example", "mx.one.example" },
		{ "alias-a.example", "alias-a.example", "alias-a.example" },
		{ "us-second.example", "main.us.example", "main.us.example" },
		{ "twice.example", "mx.one.example", "mx.one.example" },
		{ "google.example", "google", "aspmx.l.google.com alt1.aspmx.l.google.com" },
		{ "tenant.example", "microsoft", "tenant-example.mail.protection.outlook.com" },
		{ "url.example", "mx.one.example", "mx.one.example" },
		{ "ip.example", "mx.one.example", "mx.one.example" },
		{ "null-too.example", "mx.one.example", "mx.one.example" },
		{ "odd-alias.example", "mx.one.example", "mx.one.example" },
		{ "[198.51.99.7]", "[198.51.99.7]", "[198.51.99.7]" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rig rig = { 0 };
		char hosts[1000] = "";

		rig_start(&rig);
		rig_route(&rig, rows[i].domain);
		if (rig.failed)
			fail_msg("%s: %s", rows[i].domain, rig.failure.text);
		for (size_t j = 0; j < rig.route->count; j++)
			snprintf(hosts + strlen(hosts), sizeof hosts - strlen(hosts), "%s%s",
				j ? " " : "", rig.route->hosts[j].name);
		assert_string_equal(hosts, rows[i].hosts);
		if (rows[i].site)
			assert_string_equal(rig.route->site, rows[i].site);
		assert_false(rig.route->smarthost);
		rig_end(&rig);
	}
}

static void
each_domain_without_a_route_has_its_failure(void **state)
{
	static const struct {
		const char *domain;
		enum outcome_kind kind;
		const char *enhanced, *why;
	} rows[] = {
		{ "null.example", OUTCOME_BOUNCE, "5.1.10", "null MX" },
		{ "empty.example", OUTCOME_BOUNCE, "5.1.2", "neither MX nor address" },
		{ "nowhere.example", OUTCOME_BOUNCE, "5.1.2", "no such domain" },
		{ "us-first.example", OUTCOME_BOUNCE, "5.4.6", "loops" },
		{ "relay.example", OUTCOME_BOUNCE, "5.4.6", "loops" },
		{ "broken.example", OUTCOME_DEFER, "4.4.3", "SERVFAIL" },
		{ "all-bad.example", OUTCOME_DEFER, "4.4.3", "is no host name" },
		{ "null-bad.example", OUTCOME_DEFER, "4.4.3",
			"\"https://x.example\" is no host name" },
		{ "circle.example", OUTCOME_DEFER, "4.4.3", "SERVFAIL" },
		{ "[300.1.1.1]", OUTCOME_BOUNCE, "5.1.3", "no address" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rig rig = { 0 };

		rig_start(&rig);
		/* The second answer is the cache's. */
		for (int times = 0; times < 2; times++) {
			rig_route(&rig, rows[i].domain);
			assert_null(rig.route);
			assert_int_equal(rig.failure.kind, rows[i].kind);
			assert_string_equal(rig.failure.enhanced, rows[i].enhanced);
			assert_non_null(strstr(rig.failure.text, rows[i].why));
		}
		rig_end(&rig);
	}
}

static void
bogus_dnssec_defers(void **state)
{
	struct rig rig = { 0 };
	char path[200];

	(void)state;
	write_file("anchor",
		"one.example. IN DS 12345 13 2 "
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n");
	snprintf(path, sizeof path, "%s/anchor", server.directory);
	rig.config.dns.trust_anchor = path;
	rig_start(&rig);
	rig_route(&rig, "one.example");
	assert_null(rig.route);
	assert_int_equal(rig.failure.kind, OUTCOME_DEFER);
	assert_string_equal(rig.failure.enhanced, "4.4.3");
	rig_route(&rig, "two.example");
	assert_non_null(rig.route);
	rig_end(&rig);
}

static void
the_same_hosts_are_one_site_whatever_the_domain(void **state)
{
	struct rig rig = { 0 };
	struct route *two;

	(void)state;
	rig_start(&rig);
	rig_route(&rig, "two.example");
	two = route_ref(rig.route);
	rig_route(&rig, "twin.example");
	assert_string_equal(two->site, rig.route->site);
	assert_memory_equal(two->site, "a.two.example-", 14);
	rig_route(&rig, "one.example");
	assert_false(route_same(two, rig.route));
	route_unref(two);
	rig_end(&rig);
}

static void
no_more_than_twenty_hosts_are_kept(void **state)
{
	struct rig rig = { 0 };

	(void)state;
	rig_start(&rig);
	rig_route(&rig, "many.example");
	assert_non_null(rig.route);
	assert_int_equal(rig.route->count, ROUTE_HOSTS_MAX);
	assert_string_equal(rig.route->hosts[19].name, "mx19.many.example");
	rig_end(&rig);
}

static void
equal_preferences_are_shuffled_and_others_are_not(void **state)
{
	struct rig rig = { 0 };
	unsigned firsts[4] = { 0 };

	(void)state;
	rig_start(&rig);
	rig_route(&rig, "equal.example");
	assert_int_equal(rig.route->count, 4);
	for (int i = 0; i < 300; i++) {
		unsigned char order[ROUTE_HOSTS_MAX];

		route_order(rig.route, order);
		assert_int_equal(order[0], 0);
		assert_int_equal(order[1] + order[2] + order[3], 6);
		firsts[order[1]]++;
	}
	assert_true(firsts[1] && firsts[2] && firsts[3]);
	rig_end(&rig);
}

static void
addresses_are_ipv4_first_with_the_port(void **state)
{
	struct rig rig = { 0 };
	char text[NET_TEXT_MAX];

	(void)state;
	rig_start(&rig);
	rig_addresses(&rig, "one.example");
	assert_int_equal(rig.count, 2);
	net_format(&rig.addresses[0], text);
	assert_string_equal(text, "198.51.99.1:2525");
	net_format(&rig.addresses[1], text);
	assert_string_equal(text, "[2a00::1]:2525");
	rig_end(&rig);
}

static void
each_host_without_an_address_has_its_failure(void **state)
{
	static const struct {
		const char *domain;
		enum outcome_kind kind;
		const char *enhanced;
	} rows[] = {
		{ "gone-mx.example", OUTCOME_BOUNCE, "5.4.4" },
		{ "private-mx.example", OUTCOME_BOUNCE, "5.4.4" },
		{ "broken-mx.example", OUTCOME_DEFER, "4.4.3" },
		{ "[127.0.0.1]", OUTCOME_BOUNCE, "5.4.4" },
		{ "[IPv6:::ffff:10.0.0.1]", OUTCOME_BOUNCE, "5.4.4" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rig rig = { 0 };

		rig_start(&rig);
		rig_addresses(&rig, rows[i].domain);
		assert_int_equal(rig.failure.kind, rows[i].kind);
		assert_string_equal(rig.failure.enhanced, rows[i].enhanced);
		rig_end(&rig);
	}
}

static void
special_addresses_are_left_out_unless_allowed(void **state)
{
	static char *networks[] = { (char *)"192.168.7.0/24", (char *)"10.0.0.0/8" };
	struct rig rig = { 0 };
	char text[NET_TEXT_MAX];

	(void)state;
	rig_start(&rig);
	rig_addresses(&rig, "mixed-mx.example");
	assert_int_equal(rig.count, 1);
	net_format_ip(&rig.addresses[0], text);
	assert_string_equal(text, "198.51.99.9");
	rig_end(&rig);
	memset(&rig, 0, sizeof rig);
	rig.config.sender.allow_networks = networks;
	rig.config.sender.allow_networks_count = 2;
	rig_start(&rig);
	rig_addresses(&rig, "mixed-mx.example");
	assert_int_equal(rig.count, 2);
	rig_addresses(&rig, "private-mx.example");
	assert_int_equal(rig.count, 1);
	rig_addresses(&rig, "odd-mx.example");
	assert_int_equal(rig.count, 1);
	rig_end(&rig);
}

static void
a_smarthost_takes_everything_and_may_be_anywhere(void **state)
{
	static const struct {
		const char *route, *address;
	} rows[] = {
		{ "127.0.0.1:2526", "127.0.0.1:2526" },
		{ "[::1]:25", "[::1]:25" },
		{ "private.example:587", "192.168.7.7:587" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rig rig = { 0 };
		char text[NET_TEXT_MAX];

		rig.config.sender.route = (char *)rows[i].route;
		rig_start(&rig);
		rig_addresses(&rig, "null.example");
		assert_true(rig.route->smarthost);
		net_format(&rig.addresses[0], text);
		assert_string_equal(text, rows[i].address);
		rig_end(&rig);
	}
}

static void
a_smarthost_that_does_not_resolve_defers(void **state)
{
	struct rig rig = { 0 };

	(void)state;
	rig.config.sender.route = (char *)"nowhere.example:25";
	rig_start(&rig);
	rig_addresses(&rig, "one.example");
	assert_int_equal(rig.failure.kind, OUTCOME_DEFER);
	assert_int_equal(rig.failure.scope, SCOPE_SITE);
	rig_end(&rig);
}

static void
look_ups_of_one_domain_join_and_are_cached(void **state)
{
	struct rig rig = { 0 };
	struct route *first;

	(void)state;
	rig_start(&rig);
	for (int i = 0; i < 10; i++) {
		rig.waiting++;
		site_route(rig.resolver, "one.example", "acme", on_route, &rig);
	}
	assert_int_equal(rig.waiting, 10);
	rig_wait(&rig);
	first = route_ref(rig.route);
	rig_route(&rig, "one.example");
	assert_ptr_equal(first, rig.route);
	route_unref(first);
	rig_end(&rig);
}

static void
a_resolver_may_go_with_look_ups_under_way(void **state)
{
	struct rig rig = { 0 };

	(void)state;
	rig_start(&rig);
	rig_route(&rig, "two.example");
	rig.waiting = 2;
	site_route(rig.resolver, "one.example", "acme", on_route, &rig);
	site_addresses(rig.resolver, rig.route, 0, "acme", on_addresses, &rig);
	rig_end(&rig);
	assert_int_equal(rig.waiting, 2);
}

static void
what_fails_is_remembered_longer_and_longer(void **state)
{
	static const struct {
		unsigned failures;
		uint64_t retry_max_ms;
		uint32_t ttl_s;
	} rows[] = {
		{ 1, 14400000, 30 },
		{ 2, 14400000, 60 },
		{ 5, 14400000, 480 },
		{ 8, 14400000, 3600 },
		{ 1000000, 14400000, 3600 },
		{ 5, 300000, 300 },
		{ 1, 10000, 10 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(
			lookup_defer_ttl_s(rows[i].failures, rows[i].retry_max_ms), rows[i].ttl_s);
}

static void
no_more_look_ups_are_under_way_than_may_be(void **state)
{
	struct rig rig = { 0 };
	char domain[64], account[8];

	(void)state;
	rig_start(&rig);
	for (int i = 0; i < 3000; i++) {
		rig.waiting++;
		snprintf(domain, sizeof domain, "d%d.nobody.example", i);
		snprintf(account, sizeof account, "a%d", i % 100);
		site_route(rig.resolver, domain, account, on_route, &rig);
	}
	while (rig.waiting) {
		event_base_loop(loop_base(rig.loop), EVLOOP_ONCE);
		assert_true(lookup_queue_under_way(rig.resolver->queue) <= LOOKUPS_MAX);
	}
	assert_int_equal(lookup_queue_under_way(rig.resolver->queue), 0);
	rig_end(&rig);
}

static void
a_resolver_may_go_with_look_ups_that_queue(void **state)
{
	struct rig rig = { 0 };
	char domain[64];

	(void)state;
	rig_start(&rig);
	for (int i = 0; i < 1500; i++) {
		snprintf(domain, sizeof domain, "q%d.nobody.example", i);
		site_route(rig.resolver, domain, "acme", on_route, &rig);
	}
	rig_end(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_domain_has_its_route),
		cmocka_unit_test(each_domain_without_a_route_has_its_failure),
		cmocka_unit_test(bogus_dnssec_defers),
		cmocka_unit_test(the_same_hosts_are_one_site_whatever_the_domain),
		cmocka_unit_test(no_more_than_twenty_hosts_are_kept),
		cmocka_unit_test(equal_preferences_are_shuffled_and_others_are_not),
		cmocka_unit_test(addresses_are_ipv4_first_with_the_port),
		cmocka_unit_test(each_host_without_an_address_has_its_failure),
		cmocka_unit_test(special_addresses_are_left_out_unless_allowed),
		cmocka_unit_test(a_smarthost_takes_everything_and_may_be_anywhere),
		cmocka_unit_test(a_smarthost_that_does_not_resolve_defers),
		cmocka_unit_test(look_ups_of_one_domain_join_and_are_cached),
		cmocka_unit_test(a_resolver_may_go_with_look_ups_under_way),
		cmocka_unit_test(what_fails_is_remembered_longer_and_longer),
		cmocka_unit_test(no_more_look_ups_are_under_way_than_may_be),
		cmocka_unit_test(a_resolver_may_go_with_look_ups_that_queue),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, start_server, stop_server);
}
