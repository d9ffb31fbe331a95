/*
 * signer.c - which keys sign a message, its bytes, and the signatures.
 *
 * scanner: verdict, fix-ups -> [signer] -> shared/dkim -> mail.ready
 *
 * A customer's key signs mail of the account that has the domain, and no other: the entry in
 * relay.config names the account. The domain is that of From; there is one From only (ingress sees
 * to it). Our own key signs everything, with a Feedback-ID, by which Google tells complaints of
 * one account from those of another.
 */
#include "scanner/signer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/container_of.h"
#include "shared/base/log.h"
#include "shared/base/said.h"
#include "shared/config/config.h"
#include "shared/dkim/keyring.h"
#include "shared/dkim/secret.h"
#include "shared/dkim/sign.h"
#include "shared/mail/address.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/config.h"
#include "shared/queue/records.h"

#define TURN_BYTES (1u << 20) /* of one message, then others have their turn */
#define SAY_MS 60000

struct signer {
	const struct config *config;
	struct queue *queue;
	struct loop *loop, *worker;
	struct keyring *keyring;
	char domain[256]; /* our own, in its one form; "": none */
	struct config_subscriber *subscriber;
	bool loaded;
	void (*on_loaded)(void *arg);
	void *arg;
	struct said said;
	struct metric *signatures, *failures, *domains, *broken;
};

/* Keys */

static void
tell_keys(const struct signer *signer)
{
	metric_set(signer->domains, (int64_t)keyring_count(signer->keyring, false));
	metric_set(signer->broken, (int64_t)keyring_count(signer->keyring, true));
}

static void
on_entry(void *arg, const char *key, const char *json)
{
	struct signer *signer = arg;

	if (key && !keyring_set(signer->keyring, key, json))
		LOG_ERROR(
			"a domain's DKIM key cannot be opened: is dkim.secret_file the one that it "
			"was made with?",
			"entry", key);
	if (signer->loaded || !key)
		tell_keys(signer);
	if (key || signer->loaded)
		return;
	signer->loaded = true;
	signer->on_loaded(signer->arg);
}

static void
register_metrics(struct signer *signer)
{
	signer->signatures = metric_counter(
		"shout_dkim_signatures_total", "DKIM signatures put on mail", NULL);
	signer->failures = metric_counter("shout_dkim_failures_total",
		"Messages that a DKIM key should have signed and did not", NULL);
	signer->domains = metric_gauge(
		"shout_dkim_domains", "Domains whose mail this scanner signs", NULL);
	signer->broken = metric_gauge("shout_dkim_domains_broken",
		"Domains whose mail is to be signed and whose key cannot be opened", NULL);
}

struct signer *
signer_new(const struct config *config, struct queue *queue, struct loop *loop,
	void (*on_loaded)(void *arg), void *arg)
{
	struct signer *signer = xcalloc(1, sizeof *signer);
	uint8_t secret[DKIM_SECRET_SIZE];

	signer->config = config;
	signer->queue = queue;
	signer->loop = loop;
	signer->on_loaded = on_loaded;
	signer->arg = arg;
	signer->keyring = keyring_new(dkim_secret_get(config, secret) ? secret : NULL);
	explicit_bzero(secret, sizeof secret);
	if (config->dkim.domain)
		address_domain_canonical(
			config->dkim.domain, strlen(config->dkim.domain), signer->domain);
	register_metrics(signer);
	signer->worker = loop_new("dkim");
	loop_start(signer->worker);
	signer->subscriber = queue_config_subscribe(queue, loop, on_entry, signer);
	return signer;
}

void
signer_free(struct signer **signer_ref)
{
	struct signer *signer = *signer_ref;

	if (!signer)
		return;
	queue_config_unsubscribe(&signer->subscriber);
	loop_stop(signer->worker);
	loop_join(signer->worker);
	loop_free(&signer->worker);
	keyring_free(&signer->keyring);
	free(signer);
	*signer_ref = NULL;
}

/* Which keys */

/* The domain of From in its one form; false: there is none. */
static bool
from_domain(const Envelope *envelope, char out[256])
{
	const char *from = *envelope->header_from ? envelope->header_from : envelope->mail_from;
	struct address address;

	return address_parse(from, strlen(from), &address) == 0 && address.domain &&
		address_domain_canonical(address.domain, address.domain_length, out);
}

static const struct keyring_domain *
customers(const struct signer *signer, const Envelope *envelope, char domain[256])
{
	const struct keyring_domain *found = NULL;

	if (*envelope->account && from_domain(envelope, domain))
		found = keyring_find(signer->keyring, domain);
	return found && strcmp(found->account, envelope->account) == 0 ? found : NULL;
}

static const struct keyring_domain *
ours(const struct signer *signer)
{
	const struct keyring_domain *found = *signer->domain
		? keyring_find(signer->keyring, signer->domain)
		: NULL;

	return found && !*found->account ? found : NULL;
}

bool
signer_wants(const struct signer *signer, const Envelope *envelope)
{
	char domain[256];

	return customers(signer, envelope, domain) || ours(signer);
}

static void
take_keys(struct sign_job *job, const struct keyring_domain *from, const char *domain)
{
	if (!from)
		return;
	job->failed = job->failed || from->broken;
	for (size_t i = 0; i < from->count && job->by_count < SIGN_KEYS_MAX; i++) {
		job->by[job->by_count].key = dkim_key_ref(from->keys[i].key);
		job->by[job->by_count].domain = xstrdup(domain);
		job->by[job->by_count++].selector = xstrdup(from->keys[i].selector);
	}
}

void
sign_job_clear(struct sign_job *job)
{
	for (size_t i = 0; i < job->by_count; i++) {
		dkim_key_free(&job->by[i].key);
		free(job->by[i].domain);
		free(job->by[i].selector);
	}
	job->by_count = 0;
	dkim_signing_free(&job->signing);
	free(job->feedback);
	free(job->fields);
	job->feedback = job->fields = NULL;
	job->size = 0;
}

/* The end */

static const char *
why(int err)
{
	switch (err) {
	case -EKEYREJECTED: return "a key cannot be opened";
	case -EMSGSIZE: return "its header is too large";
	case -EINVAL: return "it does not have one From";
	default: return strerror(-err);
	}
}

static void
finish(struct sign_job *job, int err)
{
	struct signer *signer = job->signer;
	char id[ID_TEXT_SIZE];
	unsigned left_out;

	if (!err && job->failed)
		err = -EKEYREJECTED;
	if (err) {
		metric_add(signer->failures, 1);
		id_format(job->envelope->id.data, id);
		if (said_now(&signer->said, why(err), SAY_MS, &left_out))
			LOG_ERROR("a message is not signed as it should be", "id", id, "account",
				job->envelope->account, "error", why(err), SAID_LEFT_OUT(left_out));
	}
	job->done(job, err);
}

static void
on_signed(struct task *task)
{
	struct sign_job *job = container_of(task, struct sign_job, task);

	metric_add(job->signer->signatures, job->by_count);
	finish(job, 0);
}

/* On the worker. */
static void
sign(struct task *task)
{
	struct sign_job *job = container_of(task, struct sign_job, task);
	const uint64_t now_s = clock_us() / 1000000;
	FILE *out = xopen_memstream(&job->fields, &job->size);

	for (size_t i = 0; i < job->by_count; i++) {
		const struct dkim_by by = { job->by[i].domain, job->by[i].selector, job->by[i].key,
			now_s };
		char *field = dkim_signing_field(job->signing, &by);

		job->failed = job->failed || !field;
		if (field)
			fputs(field, out);
		free(field);
	}
	if (job->feedback)
		fputs(job->feedback, out);
	xclose_memstream(out);
	task->run = on_signed;
	loop_post(job->signer->loop, task);
}

/* "Feedback-ID: account:kind::sender", by which complaints are told apart; without one of the
 * customer's own, whose parts would mean something else. */
static void
add_feedback(struct sign_job *job)
{
	const struct config *config = job->signer->config;

	if (!config->dkim.sender_id || !ours(job->signer) ||
		dkim_signing_has(job->signing, "Feedback-ID"))
		return;
	job->feedback = xasprintf("Feedback-ID: %s:relay::%s\r\n",
		*job->envelope->account ? job->envelope->account : "own", config->dkim.sender_id);
	dkim_signing_add(job->signing, job->feedback, strlen(job->feedback));
}

static void
body_ended(struct sign_job *job)
{
	const int err = dkim_signing_end(job->signing);

	if (err) {
		finish(job, err);
		return;
	}
	add_feedback(job);
	job->task.run = sign;
	loop_post(job->signer->worker, &job->task);
}

/* The body */

static void read_on(struct sign_job *job);

static void
on_turn(struct task *task)
{
	read_on(container_of(task, struct sign_job, task));
}

/* Nothing may touch the job after this call: it may be the worker's, or gone. */
static void
at_end(struct sign_job *job)
{
	if (job->err)
		finish(job, job->err);
	else
		body_ended(job);
}

static void
on_piece(void *arg, int err, const void *data, size_t length)
{
	struct sign_job *job = arg;
	const bool at_once = job->state == SIGN_CALLING;

	job->err = err;
	job->state = err || !length ? SIGN_ENDED : SIGN_GOT;
	if (job->state == SIGN_GOT) {
		dkim_signing_feed(job->signing, data, length);
		job->offset += length;
	}
	if (at_once)
		return;
	if (job->state == SIGN_ENDED)
		at_end(job);
	else
		read_on(job);
}

/* Reads pieces; those that come at once in a loop, since a large body has hundreds. */
static void
read_on(struct sign_job *job)
{
	const uint64_t stop = job->offset + TURN_BYTES;

	do {
		job->state = SIGN_CALLING;
		queue_body(job->signer->queue, job->envelope, job->offset, QUEUE_PIECE_MAX,
			on_piece, job);
		if (job->state == SIGN_CALLING) {
			job->state = SIGN_WAITING;
			return;
		}
	} while (job->state == SIGN_GOT && job->offset < stop);
	if (job->state == SIGN_ENDED) {
		at_end(job);
		return;
	}
	job->task.run = on_turn;
	loop_post(job->signer->loop, &job->task);
}

void
signer_start(struct signer *signer, struct sign_job *job, const Envelope *envelope)
{
	char domain[256];

	job->signer = signer;
	job->envelope = envelope;
	job->offset = 0;
	job->failed = false;
	job->signing = dkim_signing_new();
	take_keys(job, customers(signer, envelope, domain), domain);
	take_keys(job, ours(signer), signer->domain);
	dkim_signing_feed(job->signing, (const char *)envelope->prefix.data, envelope->prefix.len);
	job->task.run = on_turn;
	loop_post(signer->loop, &job->task);
}
