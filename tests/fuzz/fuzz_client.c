/*
 * fuzz_client.c - the SMTP client as a whole against a host that says anything, cut anywhere:
 *
 *   a message that got a 2xx is delivered, and so never sent again,
 *   what was not refused does not bounce,
 *   what was not taken is not delivered.
 *
 * `make fuzz` runs it for a while; a million: build/fuzz/tests/fuzz/fuzz_client -runs=1000000
 */
#include <stdio.h>

#include <event2/event.h>

#include "sender/smtp/client_private.h"
#include "sender/smtp/host_memory.h"
#include "shared/base/log.h"
#include "shared/config/config.h"
#include "tests/fuzz/hostile_host.h"
#include "tests/unit/queue_fake.h"

#define RECIPIENTS 3
#define NAME "[127.0.0.1]"
#define TURNS_MAX 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int __wrap_net_connect(const struct net_address *to, const struct net_address *from);
uint64_t __wrap_clock_mono_ms(void);

static const char body[] = "Subject: x\r\n\r\nhello\r\n.dot\r\n";
static uint64_t now_ms = 1000000000;

static struct config config;
static struct loop *loop;
static struct site_resolver *resolver;
static struct client_context *context;
static struct host host;

static struct {
	struct client *client;
	Envelope envelope;
	Recipient recipients[RECIPIENTS], *list[RECIPIENTS];
	struct transaction transaction;
	struct outcome outcomes[RECIPIENTS];
	size_t first; /* command of the host's since it was sent */
	unsigned to_send;
	bool gone;
} run;

/* In place of the network's and the clock's. */
int
__wrap_net_connect(const struct net_address *to, const struct net_address *from)
{
	int pair[2];

	(void)to, (void)from;
	if (host.fd >= 0)
		return -ECONNREFUSED;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
		abort();
	host.fd = pair[1];
	answer(&host, HELLO, "220 host\r\n");
	return pair[0];
}

uint64_t
__wrap_clock_mono_ms(void)
{
	return now_ms;
}

/* ---- what must hold ---- */

static void
show(const char *text, size_t length)
{
	for (size_t i = 0; i < length && i < 200; i++)
		fprintf(stderr, text[i] >= ' ' && text[i] < 127 ? "%c" : "\\x%02x",
			(unsigned char)text[i]);
}

/* Else the whole dialogue is shown. */
static void
must(bool holds, const char *what)
{
	static const char *const verbs[] = { "hello", "STARTTLS", "MAIL", "RCPT", "DATA", "dot",
		"RSET", "QUIT", "?" };

	if (holds)
		return;
	for (size_t i = 0; i < host.count; i++) {
		struct words words = words_of(&host, &host.commands[i]);

		fprintf(stderr, "%s%s %zu: ", i == run.first ? "* " : "",
			verbs[host.commands[i].verb], host.commands[i].recipient);
		show(words.at, (size_t)(words.end - words.at));
		fputc('\n', stderr);
	}
	for (size_t i = 0; i < run.transaction.count; i++)
		fprintf(stderr, "outcome %d %d %s\n", run.outcomes[i].kind, run.outcomes[i].code,
			run.outcomes[i].text);
	fprintf(stderr, "wrong: %s\n", what);
	abort();
}

/* The reply to this command, if each of those that came over the wire is one to one command. */
static int
class_in_order(size_t command)
{
	struct words words = { host.said, host.said + host.sent };
	bool over = true;
	int class = 0;

	for (size_t i = 0; i <= command && over; i++)
		class = reply_to(host.commands[i].verb, &words, &over);
	return class;
}

/* No server says that to such a command. */
static bool
is_impossible(enum verb verb, int class)
{
	switch (verb) {
	case MAIL:
	case RCPT: return class == 3;
	case DATA: return class == 2;
	case RSET: return class == 3 || (class && class != 2 && run.client->pipelined);
	default: return false;
	}
}

/* Whether whoever reads the replies one by one can see that they do not fit. */
static bool
is_out_of_step(void)
{
	struct words words = { host.said, host.said + host.sent };
	bool over = true;
	enum verb verb = HELLO;

	if (host.sent > LINE_LONG)
		return false;
	for (size_t i = 0; i < host.count && over; i++) {
		verb = host.commands[i].verb;
		if (is_impossible(verb, reply_to(verb, &words, &over)))
			return true;
	}
	/* There is one too many, or one of an envelope's is missing. */
	if (over)
		return verb != DOT && words.at != words.end;
	return run.client->pipelined && host.sent == host.made && verb != DOT && verb != RSET;
}

static bool
concerns(const struct command *command, size_t recipient)
{
	return command->verb == MAIL || command->verb == DATA || command->verb == DOT ||
		(command->verb == RCPT && command->recipient == recipient);
}

static bool
was_refused(size_t recipient)
{
	for (size_t i = run.first; i < host.count; i++)
		if (concerns(&host.commands[i], recipient) &&
			(has_class(words_of(&host, &host.commands[i]), '5') ||
				(class_in_order(i) == 5 && !is_out_of_step())))
			return true;
	return false;
}

/* NULL: the message did not come whole, or not in step. */
static const struct command *
dot_in_step(bool *in_step)
{
	*in_step = true;
	for (size_t i = 0; i < host.count; i++) {
		const struct words words = words_of(&host, &host.commands[i]);

		if (i >= run.first && host.commands[i].verb == DOT)
			return &host.commands[i];
		*in_step = *in_step && (host.commands[i].verb == HELLO || is_plain(words));
	}
	return NULL;
}

static bool
took_recipient(size_t recipient)
{
	bool over;

	for (size_t i = run.first; i < host.count; i++)
		if (host.commands[i].verb == RCPT && host.commands[i].recipient == recipient) {
			struct words words = words_of(&host, &host.commands[i]);

			return next_reply(&words, &over) == 2;
		}
	return false;
}

static void
check(size_t recipient)
{
	const struct outcome *outcome = &run.outcomes[recipient];
	bool in_step;
	const struct command *dot = dot_in_step(&in_step);
	struct words words = dot ? words_of(&host, dot) : (struct words){ "", "" };
	const bool holds_2xx = has_class(words, '2');
	const unsigned lines = lines_in(words);
	bool over;

	if (outcome->kind == OUTCOME_BOUNCE && outcome->code)
		must(was_refused(recipient), "a bounce without a refusal");
	if (outcome->kind == OUTCOME_DELIVERED)
		must(dot && (holds_2xx || !in_step), "delivered without a 2xx");
	if (outcome->ambiguous)
		must(dot || !in_step, "ambiguous without a message");
	if (!dot || !in_step || host.speaks_out || lines > LINES_MAX)
		return;
	if (took_recipient(recipient))
		must((reply_to(DOT, &words, &over) == 2) == (outcome->kind == OUTCOME_DELIVERED),
			"a 2xx that is not delivered, or the other way round");
	else
		must(outcome->kind != OUTCOME_DELIVERED, "delivered to whom the host refused");
}

/* ---- a run ---- */

static void
on_done(void *arg, struct transaction *transaction)
{
	(void)arg;
	for (size_t i = 0; i < transaction->count; i++)
		check(i);
}

static void
on_ready(void *arg, struct client *client)
{
	(void)arg;
	if (!run.to_send) {
		client_quit(client);
		return;
	}
	run.to_send--;
	run.first = host.count;
	client_send(client, &run.transaction);
}

static void
on_gone(void *arg, struct client *client, const struct outcome *failure)
{
	(void)arg, (void)client, (void)failure;
	run.gone = true;
}

static void
turn(void)
{
	event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
}

static void
time_passes(void)
{
	now_ms += 3600000;
	event_active(&run.client->timer.event, EV_TIMEOUT, 0);
}

/* The host has said what it wanted to, and goes, or there is nothing more to hear. */
static void
ends(void)
{
	if (host.end == CLOSES)
		shutdown(host.fd, SHUT_RDWR);
	else if (host.end == ABORTED)
		client_abort(run.client);
}

static void
play(void)
{
	bool ended = false;

	for (unsigned i = 0; !run.gone && i < TURNS_MAX; i++) {
		bool busy = false;

		turn();
		if (host.fd >= 0 && !run.gone) {
			busy = listen_to(&host);
			busy = speak(&host) || busy;
		}
		turn();
		if (host.ended && !ended && !run.gone) {
			ended = true;
			ends();
		} else if (!busy && !run.gone) {
			time_passes();
		}
	}
	must(run.gone, "the client goes on for ever");
	turn();
	turn();
	must(LIST_EMPTY(&context->clients), "the client is not freed");
}

static void
run_init(const uint8_t *data, size_t size)
{
	const unsigned how = size ? *data : 0;

	memset(&host, 0, offsetof(struct host, said));
	host.made = host.sent = 0;
	host.fd = -1;
	host.input = data + (size > 0);
	host.input_end = data + size;
	host.pipelining = how & 1;
	host.speaks_out = (how & 14) == 14;
	memset(&run, 0, sizeof run);
	run.to_send = how & 16 ? 2 : 1;
	envelope__init(&run.envelope);
	run.envelope.mail_from = (char *)"a@sender.example";
	run.envelope.size = sizeof body - 1;
	for (size_t i = 0; i < RECIPIENTS; i++) {
		recipient__init(&run.recipients[i]);
		run.recipients[i].address = (char *)"b@x.example";
		run.list[i] = &run.recipients[i];
	}
	run.transaction = (struct transaction){ &run.envelope, run.list,
		(how >> 5) % RECIPIENTS + 1, run.outcomes, on_done, NULL };
	for (enum host_fact fact = 0; fact < HOST_FACTS; fact++)
		host_memory_forget(context->memory, NAME, fact);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char *networks[] = { (char *)"127.0.0.0/8" };

	(void)argc, (void)argv;
	log_set_level(LOG_LEVEL_ERROR);
	config.hostname = (char *)"relay.example";
	config.sender.route = (char *)"127.0.0.1:1";
	config.sender.allow_networks = networks;
	config.sender.allow_networks_count = 1;
	config.sender.timeout.connect = config.sender.timeout.command = config.sender.timeout.dot =
		config.sender.timeout.idle = 15000;
	loop = loop_new("fuzz");
	resolver = site_resolver_new(loop, &config);
	queue_fake_reset();
	fake.body = body;
	context = client_context_new(loop, &config, &fake.queue, resolver, NULL, NULL);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct client_events events = { .on_ready = on_ready, .on_gone = on_gone };
	struct route *route = xcalloc(1, sizeof *route);

	run_init(data, size);
	route->references = 1;
	route->count = 1;
	snprintf(route->hosts[0].name, sizeof route->hosts[0].name, NAME);
	run.client = client_open(context, route, &events);
	route_unref(route);
	play();
	if (host.fd >= 0)
		close(host.fd);
	return 0;
}
