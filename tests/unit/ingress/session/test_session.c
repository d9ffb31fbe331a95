/*
 * test_session.c - a session on a loop of its own, with a queue that answers when the test says so:
 * what no client over TCP can time.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>

#include "ingress/door/familiar.h"
#include "ingress/door/tally.h"
#include "ingress/verb/verb.h"
#include "shared/account/use.h"
#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/redis/redis.h"
#include "tests/unit/queue_fake.h"

#define ACME                                                                                       \
	"{\"id\":\"acme\",\"name\":\"Acme\",\"contact\":\"it@acme.example\",\"status\":"           \
	"\"active\",\"domains\":[\"acme.example\"]}"
#define TRACE "Received: by us\r\n"
#define FOR_EVER_MS 20000

static struct config config;
static struct ingress ingress = { .config = &config, .verbs = &smtp_verbs };
static struct worker worker = { .ingress = &ingress };
static struct listen_config listen_config = { .address = (char *)"192.0.2.9:25",
	.tls = LISTEN_PLAIN };
static struct listener listener = { .config = &listen_config };
static int client; /* the other end of the session's socket */

static void
on_reap(void *arg)
{
	session_reap(arg);
}

static int
setup(void **state)
{
	(void)state;
	queue_fake_reset();
	fake.late[OP_PUT] = true;
	config.hostname = (char *)"shout.test";
	config.ingress.help_url = (char *)"https://shout.test/help";
	config.ingress.timeout = 60000;
	config.ingress.errors_max = 20;
	config.ingress.message_size_limit = 100000;
	stats_register();
	ingress.queue = &fake.queue;
	ingress.familiar = familiar_new(10);
	ingress.door = door_new(&(struct door_options){ .total_max = 10,
		.per_address_max = 10,
		.strangers_max = 10,
		.strangers_per_network = 10,
		.rates = { 1000, 1000, 1000 },
		.patience_ms = 60000,
		.familiar = ingress.familiar,
		.turn_out = session_turn_out });
	worker_enter(&worker);
	worker.loop = loop_new("test");
	timer_init(&worker.reaper, worker.loop, on_reap, &worker);
	timer_init(&worker.news, worker.loop, on_reap, &worker);
	worker.scratch = xmalloc(SCRATCH_SIZE);
	worker.tally = tally_new(&fake.queue);
	worker.redis = redis_new(
		worker.loop, &(struct redis_options){ .address = "unix:/nowhere" });
	worker.uses = uses_new(worker.loop, worker.redis);
	worker.talks = talks_new(worker.loop, worker.redis, NULL, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	close(client);
	session_drop_all(&worker);
	wire_list_drop(&worker.wires);
	session_reap(&worker);
	tally_free(&worker.tally);
	uses_free(&worker.uses);
	talks_free(&worker.talks);
	redis_free(&worker.redis);
	mail_event_free(&worker.event);
	timer_cancel(&worker.reaper);
	timer_cancel(&worker.news);
	loop_free(&worker.loop);
	free(worker.scratch);
	free(worker.sessions);
	worker.sessions = NULL;
	worker.sessions_space = 0;
	door_free(&ingress.door);
	familiar_free(&ingress.familiar);
	return 0;
}

static struct session *
connect_client(void)
{
	struct net_address peer;
	struct guest *guest;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(net_parse("192.0.2.1:1234", &peer), 0);
	client = pair[1];
	assert_int_equal(door_enter(ingress.door, &peer, worker.loop, &guest), DOOR_OPEN);
	session_open(&worker, &listener, pair[0], &peer, guest);
	assert_non_null(worker.sessions[0]);
	return worker.sessions[0];
}

static void
turn(void)
{
	event_base_loop(loop_base(worker.loop), EVLOOP_NONBLOCK);
}

static void
say(const char *text)
{
	assert_int_equal(write(client, text, strlen(text)), strlen(text));
	turn();
}

/* As MAIL and DATA leave it. */
static void
begin_message(struct session *session)
{
	struct transaction *mail = session->mail = transaction_new(session);

	mail->open = true;
	mail->account = account_from_json(ACME, strlen(ACME));
	mail->envelope.mail_from = (char *)transaction_text(mail, "a@acme.example", 14);
	id_make(mail->id);
	id_format(mail->id, mail->id_text);
	draft_start(
		&mail->draft, &mail->arena, "/nonexistent", mail->id_text, TRACE, strlen(TRACE));
	dot_start(&mail->dot);
	mail->started_ms = clock_mono_ms();
	session->state = ST_DATA;
}

static void
a_session_cut_off_leaves_its_message_to_the_queue(void **state)
{
	struct session *session = connect_client();
	static const char text[] = TRACE "Subject: hello\r\n\r\nbody\r\n";

	(void)state;
	begin_message(session);
	say("Subject: hello\r\n\r\nbody\r\n.\r\n");
	assert_int_equal(fake.calls[OP_PUT], 1);
	session_drop_all(&worker);
	turn();
	assert_int_equal(fake.put_body.size, strlen(text));
	assert_memory_equal(fake.put_body.data, text, fake.put_body.size);
	queue_fake_answer(0);
	assert_non_null(strstr(fake.last[OP_EVENT], "\"event\":\"accepted\""));
	assert_non_null(strstr(fake.last[OP_EVENT], "\"account\":\"acme\""));
	assert_int_equal(atomic_load(&ingress.busy), 0);
}

/* Whether the session ends although its client goes on, `step` bytes at a time. */
static bool
ends_in_spite_of(const char *bytes, size_t step)
{
	uint64_t end = clock_mono_ms() + FOR_EVER_MS;

	while (worker.sessions[0] && clock_mono_ms() < end) {
		struct pollfd pause = { .fd = -1 };

		if (write(client, bytes, step) < 0 && errno != EAGAIN)
			break;
		turn();
		poll(&pause, 1, 10);
	}
	return !worker.sessions[0];
}

static void
who_drips_a_command_is_cut_off(void **state)
{
	(void)state;
	config.ingress.timeout = 300;
	connect_client();
	turn();
	assert_true(ends_in_spite_of("x", 1));
}

static void
who_drips_a_message_is_cut_off(void **state)
{
	struct session *session;

	(void)state;
	config.ingress.timeout = 300;
	session = connect_client();
	turn();
	begin_message(session);
	assert_true(ends_in_spite_of("x", 1));
}

static void
a_message_that_keeps_its_pace_has_the_whole_timeout(void **state)
{
	struct session *session = connect_client();

	(void)state;
	begin_message(session);
	assert_in_range(transaction_time_left(session->mail, 1000), 900, 1000);
	session->mail->received = 1000000;
	session->mail->started_ms -= 5000;
	assert_int_equal(transaction_time_left(session->mail, 1000), 1000);
	session->mail->received = 0;
	assert_int_equal(transaction_time_left(session->mail, 1000), 0);
}

/* They hold descriptors that the door does not count. */
static void
few_linger_at_a_time(void **state)
{
	int clients[300];

	(void)state;
	for (size_t i = 0; i < 300; i++) {
		struct session *session = connect_client();

		clients[i] = client;
		session_end(session, "421 4.3.2 Go");
		turn();
	}
	assert_in_range(worker.wires.lingering, 1, 256);
	for (size_t i = 0; i < 299; i++)
		close(clients[i]);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_session_cut_off_leaves_its_message_to_the_queue),
		TEST(who_drips_a_command_is_cut_off),
		TEST(who_drips_a_message_is_cut_off),
		TEST(few_linger_at_a_time),
		TEST(a_message_that_keeps_its_pace_has_the_whole_timeout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
