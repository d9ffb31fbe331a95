/*
 * domain_check.c - asks the DNS for what a report wants, until the report wants no more.
 *
 * api_domain -> [domain_check] -> report (evaluate) -> dns (what it wants) -> report ...
 *
 * The owner of a domain writes what is asked, so all is bounded: FACTS_MAX questions, ASKED_MAX of
 * them at once, CHECK_MS in all.
 */
#include "control/domain/domain_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "control/domain/facts.h"
#include "control/domain/report.h"
#include "shared/base/date.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/config/config.h"
#include "shared/dns/dns.h"

#define CHECK_MS 20000 /* below the deadline of the API's connections */
#define ASKED_MAX 16
#define TOKEN_BYTES 16

struct domain_checks {
	struct loop *loop;
	struct dns *dns;
	const struct config *config;
	LIST_HEAD(, check) checks;
};

/* A question that is under way. */
struct question {
	LIST_ENTRY(question) entry;
	struct check *check;
	struct dns_query *query;
	char *name;
	uint16_t type;
};

struct check {
	LIST_ENTRY(check) entry;
	struct domain_checks *all;
	struct report_subject subject;
	struct facts *facts;
	LIST_HEAD(, question) questions;
	struct timer over;
	bool daily;
	json_t *dkim;
	char *account, *domain, token[DOMAIN_TOKEN_SIZE];
	domain_check_cb cb;
	void *arg;
};

/* Nobody else can tell an account's token, and no other account's or domain's is the same. */
void
domain_token(const struct domain_asked *asked, char out[DOMAIN_TOKEN_SIZE])
{
	char *text = xasprintf("domain %s %s", asked->account, asked->domain);
	unsigned char mac[EVP_MAX_MD_SIZE];

	if (!HMAC(EVP_sha256(), asked->secret, (int)strlen(asked->secret),
		    (const unsigned char *)text, strlen(text), mac, NULL))
		die("cannot make a token", "HMAC");
	for (int i = 0; i < TOKEN_BYTES; i++)
		snprintf(out + (size_t)2 * i, 3, "%02x", mac[i]);
	free(text);
}

static void
question_free(struct question *question)
{
	LIST_REMOVE(question, entry);
	free(question->name);
	free(question);
}

static void
check_free(struct check *check)
{
	LIST_REMOVE(check, entry);
	timer_cancel(&check->over);
	facts_free(&check->facts);
	json_decref(check->dkim);
	free(check->account);
	free(check->domain);
	free(check);
}

static void
check_end(struct check *check, json_t *report)
{
	const domain_check_cb cb = check->cb;
	void *const arg = check->arg;
	char now[DATE_SIZE];

	date_iso(clock_us(), now);
	json_object_set_new(report, "at", json_string(now));
	check_free(check);
	cb(arg, report);
}

static void check_step(struct check *check);

static void
on_answer(void *arg, const struct dns_result *result)
{
	static const enum fact_status statuses[] = {
		[DNS_ANSWER] = FACT_ANSWER,
		[DNS_NO_DOMAIN] = FACT_NO_DOMAIN,
		[DNS_FAILED] = FACT_FAILED,
	};
	struct question *question = arg;
	struct check *check = question->check;

	facts_put(check->facts, question->name, question->type, statuses[result->status],
		result->status == DNS_ANSWER ? result->answer : NULL);
	question_free(question);
	if (LIST_EMPTY(&check->questions))
		check_step(check);
}

static void
ask(struct check *check, const char *name, uint16_t type)
{
	struct question *question = xmalloc(sizeof *question);

	*question = (struct question){ .check = check, .name = xstrdup(name), .type = type };
	LIST_INSERT_HEAD(&check->questions, question, entry);
	question->query = dns_resolve(check->all->dns, question->name, type, on_answer, question);
}

/* Called while no question is under way. */
static void
check_step(struct check *check)
{
	json_t *report = domain_report(&check->subject, check->facts);
	const char *name;
	uint16_t type;

	if (report) {
		check_end(check, report);
		return;
	}
	for (size_t i = 0; i < ASKED_MAX && facts_wanted(check->facts, i, &name, &type); i++)
		ask(check, name, type);
}

/* What is wanted and not known by now, nobody could say. */
static void
on_over(void *arg)
{
	struct check *check = arg;
	struct question *question;
	const char *name;
	uint16_t type;
	json_t *report;

	while ((question = LIST_FIRST(&check->questions))) {
		dns_cancel(question->query);
		question_free(question);
	}
	while (!(report = domain_report(&check->subject, check->facts)))
		while (facts_wanted(check->facts, 0, &name, &type))
			facts_put(check->facts, name, type, FACT_FAILED, NULL);
	check_end(check, report);
}

static struct report_subject
subject_of(const struct check *check, bool verified)
{
	const struct config *config = check->all->config;
	const bool own = config->service.addresses_count > 0;

	return (struct report_subject){ .domain = check->domain,
		.token = check->token,
		.verified = verified,
		.dkim = check->dkim,
		.spf = config->service.spf,
		.hostname = config->hostname,
		.addresses = own ? config->service.addresses : config->sender.source_address,
		.addresses_count = own ? config->service.addresses_count
				       : config->sender.source_address_count };
}

static int
find_room(const struct domain_checks *checks, const char *account)
{
	const struct check *check;
	unsigned all = 0, own = 0;

	LIST_FOREACH (check, &checks->checks, entry) {
		if (check->daily)
			continue;
		all++;
		own += strcmp(check->account, account) == 0;
	}
	return own >= DOMAIN_CHECKS_ACCOUNT_MAX ? -EAGAIN : all >= DOMAIN_CHECKS_MAX ? -EBUSY : 0;
}

int
domain_check(struct domain_checks *checks, const struct domain_asked *asked, domain_check_cb cb,
	void *arg)
{
	const int err = asked->daily ? 0 : find_room(checks, asked->account);
	struct check *check;

	if (err)
		return err;
	check = xcalloc(1, sizeof *check);
	check->all = checks;
	check->daily = asked->daily;
	check->account = xstrdup(asked->account);
	check->domain = xstrdup(asked->domain);
	check->dkim = json_incref((json_t *)asked->dkim); /* entries are replaced, not changed */
	check->cb = cb;
	check->arg = arg;
	check->facts = facts_new();
	domain_token(asked, check->token);
	check->subject = subject_of(check, asked->verified);
	LIST_INIT(&check->questions);
	LIST_INSERT_HEAD(&checks->checks, check, entry);
	timer_init(&check->over, checks->loop, on_over, check);
	timer_set(&check->over, CHECK_MS);
	check_step(check);
	return 0;
}

void
domain_checks_hurry(struct domain_checks *checks)
{
	struct check *check, *next;

	for (check = LIST_FIRST(&checks->checks); check; check = next) {
		next = LIST_NEXT(check, entry);
		on_over(check);
	}
}

struct domain_checks *
domain_checks_new(struct loop *loop, const struct config *config)
{
	struct domain_checks *checks = xcalloc(1, sizeof *checks);

	checks->loop = loop;
	checks->config = config;
	LIST_INIT(&checks->checks);
	checks->dns = dns_new(loop, config, DNS_CONTROL);
	if (!checks->dns)
		domain_checks_free(&checks);
	return checks;
}

void
domain_checks_free(struct domain_checks **checks)
{
	if (!*checks)
		return;
	dns_free(&(*checks)->dns);
	free(*checks);
	*checks = NULL;
}
