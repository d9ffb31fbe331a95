/*
 * message.c - a message's way through the scanner: scanned, judged, and on.
 *
 * scanner: mail.inbound -> [message] -> clamd, fixup, signer, hold -> mail.ready
 *
 * Unsure means wait: without a verdict no message goes on, whatever happens to clamd. A clean
 * message goes on, with the fields it lacked put before it. An infected or unscannable message goes
 * on after its event and notices; the sender makes held mail of it. An unwanted or suspicious
 * message is held likewise, or goes on after its event, with or without a field that says so. Every
 * other message still waits here.
 *
 * A message whose scan broke the connection may have crashed clamd. From then on the message is
 * scanned alone, so that only its own crashes count. Scans that take too long on a clamd that is
 * well otherwise are counted for their message; only the last try is alone, to be sure that others
 * did not slow it down. The third such failure, of either kind, makes a message unscannable. A
 * clamd that hangs as a whole counts against no message. A message to which clamd answers with
 * errors waits, since clamd may recover, but past scanner.error_limit the message is unscannable. A
 * message that ends this process three times is not scanned any more (poison.h).
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scanner/fixup.h"
#include "scanner/scanner_private.h"
#include "shared/base/container_of.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/config/config.h"
#include "shared/score/score.h"

#define STRIKES 3
#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS 60000

void
scanner_message_free(struct message *message)
{
	TAILQ_REMOVE(&scanner->all, message, link);
	poison_end(scanner->poison, &message->work);
	timer_cancel(&message->timer);
	sign_job_clear(&message->signing);
	free(message->signature);
	free(message->reason);
	free(message->prefix);
	free(message);
}

static void
on_pause_over(void *arg)
{
	struct message *message = arg;

	scanner->paused--;
	poison_resume(scanner->poison, &message->work, message->work.id);
	message->after_pause(message);
}

static void
wait_message(struct message *message, unsigned ms, void (*after)(struct message *message))
{
	message->stage = STAGE_PAUSE;
	message->after_pause = after;
	timer_init(&message->timer, scanner->loop, on_pause_over, message);
	timer_set(&message->timer, ms);
	scanner->paused++;
	poison_pause(scanner->poison, &message->work);
}

static void
pause_message(struct message *message, void (*after)(struct message *message))
{
	unsigned shift = message->tries < 6 ? message->tries : 6;
	unsigned ms = BACKOFF_FIRST_MS << shift;

	ms = ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
	message->tries++;
	wait_message(message, ms, after);
}

static void forward(struct message *message);

static void
on_forwarded(void *arg, int err)
{
	struct message *message = arg;

	if (!err) {
		if (message->poison)
			poison_forget(scanner->poison, message->work.id);
		scanner_message_free(message);
		return;
	}
	LOG_WARN("the queue did not take a scanned message", "error", strerror(-err));
	pause_message(message, forward);
}

static void
forward(struct message *message)
{
	message->stage = STAGE_FORWARD;
	queue_forward(message->record, TOPIC_READY, &message->envelope, on_forwarded, message);
}

static void hold(struct message *message);

static void
on_held(void *arg, int err)
{
	struct message *message = arg;

	if (err)
		pause_message(message, hold);
	else
		forward(message);
}

static void
hold(struct message *message)
{
	message->stage = STAGE_HOLD;
	if (*message->envelope.hold)
		hold_tell(scanner->hold, &message->envelope, message->envelope.hold, on_held,
			message);
	else if (message->envelope.let_pass)
		hold_alert(scanner->hold, &message->envelope, message->tagged, on_held, message);
	else
		hold_tell(scanner->hold, &message->envelope, NULL, on_held, message);
}

/* Puts fields before the fields that the prefix has already. */
static void
add_fields(struct message *message, const char *fields, size_t size)
{
	Envelope *envelope = &message->envelope;
	uint8_t *former = message->prefix;

	if (!size)
		return;
	message->prefix = xmalloc(size + envelope->prefix.len);
	memcpy(message->prefix, fields, size);
	if (envelope->prefix.len)
		memcpy(message->prefix + size, envelope->prefix.data, envelope->prefix.len);
	envelope->prefix.data = message->prefix;
	envelope->prefix.len += size;
	envelope->mime_8bit = envelope->mime_8bit || !text_is_ascii(fields, size);
	free(former);
}

static void
add_missing_fields(struct message *message)
{
	char fields[FIXUP_MAX] = "";

	add_fields(message, fields,
		fixup_build(&message->envelope, scanner->config->hostname, fields));
	if (message->envelope.missing & MISSING_MESSAGE_ID) {
		fixup_message_id(
			&message->envelope, scanner->config->hostname, message->message_id);
		message->envelope.message_id = message->message_id;
		message->envelope.message_id_added = true;
	}
	message->envelope.missing = 0;
}

static enum alert_policy
policy_of(Envelope__Verdict verdict)
{
	switch (verdict) {
	case ENVELOPE__VERDICT__UNWANTED: return (enum alert_policy)scanner->config->scanner.pua;
	case ENVELOPE__VERDICT__SUSPICIOUS:
		return (enum alert_policy)scanner->config->scanner.heuristics;
	default: return ALERT_HOLD;
	}
}

static void
let_pass(struct message *message, bool tag)
{
	char field[FIXUP_ALERT_MAX] = "";

	message->envelope.let_pass = true;
	if (tag)
		add_fields(message, field, fixup_alert(&message->envelope, field));
	message->tagged = tag;
}

static void sign(struct message *message);
static void weigh_again(struct message *message);

/* What the sender's mail did so far decides whether this message goes on at once, later, or only
 * when somebody has looked. */
static void
on_score(void *arg, const struct score_verdict *verdict)
{
	struct message *message = arg;

	message->envelope.suspect = verdict->step == STEP_SUSPECT;
	if (verdict->step >= STEP_HOLD) {
		message->reason = xasprintf("%s: %s", rung_names[verdict->rung], verdict->why);
		message->envelope.hold = message->reason;
		message->held = true;
	}
	if (verdict->step < STEP_HOLD && verdict->wait_ms && !message->waited)
		wait_message(message, verdict->wait_ms, weigh_again);
	else
		sign(message);
}

/* Its sender may have come to be held meanwhile. */
static void
weigh_again(struct message *message)
{
	message->stage = STAGE_SCORE;
	message->waited = true;
	scores_ask(hold_scores(scanner->hold), &message->envelope, on_score, message);
}

static void
weigh(struct message *message)
{
	message->stage = STAGE_SCORE;
	scores_pass(hold_scores(scanner->hold), &message->envelope, on_score, message);
}

static void
go_on(struct message *message)
{
	if (message->held)
		hold(message);
	else
		forward(message);
}

/* A key that fails loses no mail: the message goes on unsigned, unless dkim.on_failure is wait. */
static void
on_signed(struct sign_job *job, int err)
{
	struct message *message = container_of(job, struct message, signing);

	if (err && scanner->config->dkim.on_failure == DKIM_WAIT) {
		sign_job_clear(job);
		pause_message(message, sign);
		return;
	}
	if (job->fields)
		add_fields(message, job->fields, job->size);
	sign_job_clear(job);
	message->tries = 0;
	go_on(message);
}

/* Signs the message as it will be sent: nothing changes its header after this. */
static void
sign(struct message *message)
{
	if (!signer_wants(scanner->signer, &message->envelope)) {
		go_on(message);
		return;
	}
	message->stage = STAGE_SIGN;
	message->signing.done = on_signed;
	signer_start(scanner->signer, &message->signing, &message->envelope);
}

static void
judged(struct message *message, Envelope__Verdict verdict, const char *signature)
{
	const Envelope *envelope = record_envelope(message->record);
	enum alert_policy policy;

	metric_add(scanner->scans[verdict], 1);
	message->envelope = *envelope;
	message->envelope.verdict = verdict;
	message->envelope.scanned_us = clock_us();
	message->tries = 0;
	add_missing_fields(message);
	if (verdict == ENVELOPE__VERDICT__CLEAN || verdict == ENVELOPE__VERDICT__NONE) {
		weigh(message);
		return;
	}
	message->signature = xstrdup(signature);
	message->envelope.signature = message->signature;
	policy = policy_of(verdict);
	message->held = true; /* hold() tells of it, also when it goes on */
	if (policy == ALERT_HOLD) {
		sign(message);
		return;
	}
	let_pass(message, policy == ALERT_TAG);
	weigh(message);
}

static void
scan(struct message *message)
{
	message->stage = STAGE_SCAN;
	message->started_us = clock_mono_us();
	message->scan.retry = message->tries > 0;
	if (!message->work.suspect)
		poison_pause(scanner->poison, &message->work);
	clamd_scan(scanner->clamd, &message->scan);
}

/* The scan ended without a verdict. */
static void
scan_again(struct message *message, const char *why)
{
	char id[ID_TEXT_SIZE];

	metric_add(scanner->failures, 1);
	id_format(message->scan.envelope->id.data, id);
	LOG_WARN("a message could not be scanned and waits", "id", id, "error", why, "tries",
		log_int(message->tries + 1));
	pause_message(message, scan);
}

/* The scan failed, possibly by the message's fault. */
static void
struck(struct message *message, const char *why)
{
	char id[ID_TEXT_SIZE], reason[64];

	if (++message->strikes < STRIKES) {
		message->scan.alone = message->scan.alone || message->strikes == STRIKES - 1;
		scan_again(message, why);
		return;
	}
	id_format(message->scan.envelope->id.data, id);
	LOG_ERROR("a message fails its scans and is held", "id", id, "error", why);
	snprintf(reason, sizeof reason, "%s, for the third time", why);
	judged(message, ENVELOPE__VERDICT__UNSCANNABLE, reason);
}

static bool
is_old(const Envelope *envelope)
{
	const uint64_t now = clock_us();

	return now > envelope->accepted_us &&
		(now - envelope->accepted_us) / 1000 >= scanner->config->scanner.error_limit;
}

/* clamd is well but answers this message with an error. One try may meet a bad moment, so a single
 * error does not count. */
static void
scan_error(struct message *message, const char *error)
{
	char id[ID_TEXT_SIZE], reason[256];

	if (++message->errors < STRIKES || !is_old(message->scan.envelope)) {
		scan_again(message, error);
		return;
	}
	id_format(message->scan.envelope->id.data, id);
	LOG_ERROR("clamd only has errors for a message, which is held", "id", id, "error", error);
	snprintf(reason, sizeof reason, "clamd answers: %s", error);
	judged(message, ENVELOPE__VERDICT__UNSCANNABLE, reason);
}

static void
scan_broken(struct message *message)
{
	/* Any scan in flight on that host may have broken the connection. */
	if (message->scan.alone) {
		struck(message, "clamd broke off");
		return;
	}
	message->scan.alone = true;
	scan(message);
}

static void
on_scanned(struct clamd_scan *done, enum clamd_result result, enum verdict verdict,
	const char *signature)
{
	struct message *message = (struct message *)done;

	switch (result) {
	case CLAMD_ANSWER: break;
	case CLAMD_BROKEN: scan_broken(message); return;
	case CLAMD_TIMEOUT: struck(message, "clamd took too long"); return;
	case CLAMD_HUNG:
		message->scan.alone = true; /* alone, since several may have hung clamd together */
		scan_again(message, "clamd hangs");
		return;
	case CLAMD_GARBAGE: scan_again(message, "clamd answered something else"); return;
	case CLAMD_NO_BODY: scan_again(message, "the queue does not have its body"); return;
	}
	metric_observe_us(scanner->latency, clock_mono_us() - message->started_us);
	switch (verdict) {
	case VERDICT_CLEAN: judged(message, ENVELOPE__VERDICT__CLEAN, ""); break;
	case VERDICT_INFECTED: judged(message, ENVELOPE__VERDICT__INFECTED, signature); break;
	case VERDICT_UNSCANNABLE: judged(message, ENVELOPE__VERDICT__UNSCANNABLE, signature); break;
	case VERDICT_UNWANTED: judged(message, ENVELOPE__VERDICT__UNWANTED, signature); break;
	case VERDICT_SUSPICIOUS: judged(message, ENVELOPE__VERDICT__SUSPICIOUS, signature); break;
	case VERDICT_ERROR: scan_error(message, signature); break;
	}
}

static void
begin(struct poison_work *work)
{
	struct message *message = container_of(work, struct message, work);
	char id[ID_TEXT_SIZE];

	if (poison_strikes(scanner->poison, work->id) >= POISON_STRIKES) {
		id_format(work->id, id);
		LOG_ERROR("a message crashes this process and is held", "id", id);
		message->poison = true;
		judged(message, ENVELOPE__VERDICT__UNSCANNABLE,
			"it crashed the scanner, for the third time");
	} else if (!scanner->clamd)
		judged(message, ENVELOPE__VERDICT__NONE, "");
	else
		scan(message);
}

static void
on_scan_begun(struct clamd_scan *scan_begun)
{
	struct message *message = (struct message *)scan_begun;

	poison_resume(scanner->poison, &message->work, message->work.id);
}

void
scanner_on_record(void *arg, struct record *record)
{
	struct message *message = xcalloc(1, sizeof *message);

	(void)arg;
	message->record = record;
	message->scan.envelope = record_envelope(record);
	message->scan.begun = on_scan_begun;
	message->scan.done = on_scanned;
	TAILQ_INSERT_TAIL(&scanner->all, message, link);
	poison_start(scanner->poison, &message->work, message->scan.envelope->id.data, begin);
}
