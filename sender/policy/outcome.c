/*
 * outcome.c - what a failure means: the one place that decides between delivered, deferred and
 * bounced, and whose failure it is.
 *
 * client (a reply, or an error) -> [outcome] -> scheduler
 *
 * An ambiguous failure defers. Nothing bounces for our own fault: mail waits when only a better
 * client or configuration could help (a command we got wrong, TLS or AUTH we did not do), or when a
 * response rule (sender/reply) says that the host refuses us and not the mail.
 */
#include "sender/policy/outcome.h"

#include <stdio.h>
#include <string.h>

#include "shared/base/text.h"

enum reply_class { CLASS_OK, CLASS_TEMPORARY, CLASS_PERMANENT, CLASS_ODD, CLASS_COUNT };

enum decision {
	DELIVERED,
	DEFER_SITE,
	DEFER_MESSAGE,
	DEFER_RECIPIENT,
	BOUNCE_MESSAGE,
	BOUNCE_RECIPIENT
};

/* clang-format off */
/* OK is a 2xx where one is hoped for, ODD what the step does not know (a 2xx to DATA too). Before
 * MAIL a refusal is about the connection: another host, or a later time, may be kinder. */
static const enum decision by_step[][CLASS_COUNT] = {
	/*                   OK          4xx              5xx               odd */
	[STEP_DNS]      = { DEFER_SITE, DEFER_SITE,      DEFER_SITE,       DEFER_SITE },
	[STEP_CONNECT]  = { DEFER_SITE, DEFER_SITE,      DEFER_SITE,       DEFER_SITE },
	[STEP_BANNER]   = { DEFER_SITE, DEFER_SITE,      DEFER_SITE,       DEFER_SITE },
	[STEP_EHLO]     = { DEFER_SITE, DEFER_SITE,      DEFER_SITE,       DEFER_SITE },
	[STEP_STARTTLS] = { DEFER_SITE, DEFER_SITE,      DEFER_SITE,       DEFER_SITE },
	[STEP_MAIL]     = { DEFER_SITE, DEFER_MESSAGE,   BOUNCE_MESSAGE,   DEFER_SITE },
	[STEP_RCPT]     = { DEFER_SITE, DEFER_RECIPIENT, BOUNCE_RECIPIENT, DEFER_SITE },
	[STEP_DATA]     = { DEFER_SITE, DEFER_MESSAGE,   BOUNCE_MESSAGE,   DEFER_SITE },
	[STEP_BODY]     = { DEFER_SITE, DEFER_MESSAGE,   BOUNCE_MESSAGE,   DEFER_SITE },
	[STEP_DOT]      = { DELIVERED,  DEFER_MESSAGE,   BOUNCE_MESSAGE,   DEFER_SITE },
};
/* clang-format on */

static const struct {
	enum outcome_kind kind;
	enum outcome_scope scope;
} decisions[] = {
	[DELIVERED] = { OUTCOME_DELIVERED, SCOPE_MESSAGE },
	[DEFER_SITE] = { OUTCOME_DEFER, SCOPE_SITE },
	[DEFER_MESSAGE] = { OUTCOME_DEFER, SCOPE_MESSAGE },
	[DEFER_RECIPIENT] = { OUTCOME_DEFER, SCOPE_RECIPIENT },
	[BOUNCE_MESSAGE] = { OUTCOME_BOUNCE, SCOPE_MESSAGE },
	[BOUNCE_RECIPIENT] = { OUTCOME_BOUNCE, SCOPE_RECIPIENT },
};

/* Codes that mean the same at every step. */
static const struct {
	int code;
	bool protocol; /* unless an enhanced code other than X.5.X says that the mail is meant */
	enum decision decision;
} by_code[] = {
	{ 421, false, DEFER_SITE }, /* the host closes the connection */
	{ 500, true, DEFER_SITE },  /* the host does not understand us */
	{ 502, true, DEFER_SITE },
	{ 503, true, DEFER_SITE },  /* out of step */
	{ 504, true, DEFER_SITE },  /* does not like our name */
	{ 530, false, DEFER_SITE }, /* wants STARTTLS or AUTH first */
	{ 534, false, DEFER_SITE },
	{ 535, false, DEFER_SITE },
	{ 538, false, DEFER_SITE },
};

static const char *const error_codes[] = {
	[STEP_DNS] = "4.4.3",
	[STEP_CONNECT] = "4.4.1",
	[STEP_BANNER] = "4.4.2",
	[STEP_EHLO] = "4.4.2",
	[STEP_STARTTLS] = "4.7.0",
	[STEP_MAIL] = "4.4.2",
	[STEP_RCPT] = "4.4.2",
	[STEP_DATA] = "4.4.2",
	[STEP_BODY] = "4.4.2",
	[STEP_DOT] = "4.4.2",
};

/* reply_class.h */
static const char *const error_classes[] = {
	[STEP_DNS] = "dns",
	[STEP_CONNECT] = "connect",
	[STEP_BANNER] = "lost",
	[STEP_EHLO] = "lost",
	[STEP_STARTTLS] = "tls",
	[STEP_MAIL] = "lost",
	[STEP_RCPT] = "lost",
	[STEP_DATA] = "lost",
	[STEP_BODY] = "lost",
	[STEP_DOT] = "lost",
};

static const enum meaning error_meanings[] = {
	[STEP_DNS] = MEANING_DNS_FAILURE,
	[STEP_CONNECT] = MEANING_NO_ANSWER,
	[STEP_BANNER] = MEANING_BAD_CONNECTION,
	[STEP_EHLO] = MEANING_BAD_CONNECTION,
	[STEP_STARTTLS] = MEANING_TLS_REQUIRED,
	[STEP_MAIL] = MEANING_BAD_CONNECTION,
	[STEP_RCPT] = MEANING_BAD_CONNECTION,
	[STEP_DATA] = MEANING_BAD_CONNECTION,
	[STEP_BODY] = MEANING_BAD_CONNECTION,
	[STEP_DOT] = MEANING_BAD_CONNECTION,
};

static const enum reply_stage stages[] = {
	[STEP_DNS] = STAGE_ANY,
	[STEP_CONNECT] = STAGE_ANY,
	[STEP_BANNER] = STAGE_BANNER,
	[STEP_EHLO] = STAGE_EHLO,
	[STEP_STARTTLS] = STAGE_EHLO,
	[STEP_MAIL] = STAGE_MAIL,
	[STEP_RCPT] = STAGE_RCPT,
	[STEP_DATA] = STAGE_DOT,
	[STEP_BODY] = STAGE_DOT,
	[STEP_DOT] = STAGE_DOT,
};

static enum reply_class
reply_class(const struct reply *reply)
{
	switch (reply->code / 100) {
	case 2: return CLASS_OK;
	case 4: return CLASS_TEMPORARY;
	case 5: return CLASS_PERMANENT;
	default: return CLASS_ODD;
	}
}

static bool
is_protocol_error(const struct reply *reply)
{
	return !reply->enhanced[0] || strncmp(reply->enhanced, "5.5.", 4) == 0;
}

static enum decision
decide_by_code(enum outcome_step step, const struct reply *reply)
{
	for (size_t i = 0; i < sizeof by_code / sizeof *by_code; i++)
		if (by_code[i].code == reply->code &&
			(!by_code[i].protocol || is_protocol_error(reply)))
			return by_code[i].decision;
	return by_step[step][reply_class(reply)];
}

/* What a rule says of a 5xx. Before MAIL there is nothing that could bounce. */
static enum decision
decide(enum outcome_step step, const struct reply *reply, const struct reply_meaning *meaning)
{
	const unsigned set = meaning->reactions.set;

	if (!meaning->known || reply_class(reply) != CLASS_PERMANENT || step < STEP_MAIL)
		return decide_by_code(step, reply);
	if (set & REACTION_BOUNCE)
		return step == STEP_RCPT ? BOUNCE_RECIPIENT : BOUNCE_MESSAGE;
	if (set & (REACTION_HOLD | REACTION_BREAK | REACTION_REST_IP))
		return DEFER_SITE;
	return step == STEP_RCPT ? DEFER_RECIPIENT : DEFER_MESSAGE;
}

/* The remote's own enhanced code, unless its class contradicts what we do: a DSN with "failed" and
 * 4.x.x, or "delayed" and 5.x.x, would mislead. */
static void
set_enhanced(struct outcome *out, const struct reply *reply)
{
	static const char class_of[] = {
		[OUTCOME_DELIVERED] = '2', [OUTCOME_DEFER] = '4', [OUTCOME_BOUNCE] = '5'
	};
	static const char *const generic[] = {
		[OUTCOME_DELIVERED] = "2.0.0", [OUTCOME_DEFER] = "4.0.0", [OUTCOME_BOUNCE] = "5.0.0"
	};
	const char *enhanced = reply_enhanced(reply);

	if (enhanced[0] != class_of[out->kind])
		enhanced = generic[out->kind];
	text_copy(out->enhanced, sizeof out->enhanced, enhanced);
}

/* Only refusals mean something. */
static void
mean(struct outcome *out, unsigned where, const char *text, int code, const char *host,
	const struct replies *replies)
{
	const struct reply_said said = { host, text, code, where };

	out->meant = replies && code >= 400;
	out->meaning = (struct reply_meaning){ .known = false };
	if (out->meant)
		replies_mean(replies, &said, &out->meaning);
}

void
outcome_from_reply(struct outcome *out, enum outcome_step step, const struct reply *reply,
	const char *host, const struct replies *replies)
{
	enum decision decision;

	mean(out, stages[step], reply->text, reply->code, host, replies);
	decision = decide(step, reply, &out->meaning);
	out->kind = decisions[decision].kind;
	out->scope = decisions[decision].scope;
	out->retry_now = out->local = out->egress = out->ambiguous = out->relayed = false;
	out->code = reply->code;
	out->tls[0] = '\0';
	set_enhanced(out, reply);
	class_of_reply(out->class, reply->code, reply->enhanced);
	text_copy(out->text, sizeof out->text, reply->text);
	text_copy(out->host, sizeof out->host, host);
}

static bool
has_any(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcasestr(text, *words))
			return true;
	return false;
}

/* Whether the word stands by itself in the text, in any case. */
static bool
has_word(const char *text, const char *word)
{
	const size_t length = strlen(word);

	for (const char *at = text; (at = strcasestr(at, word)); at++)
		if ((at == text || !is_alnum(at[-1])) && !is_alnum(at[length]))
			return true;
	return false;
}

/* A code about something else, such as an address, outweighs any text. */
static bool
may_be_about_tls(const struct reply *reply)
{
	return !reply->enhanced[0] || strchr("057", reply->enhanced[2]);
}

bool
outcome_wants_tls(const struct reply *reply)
{
	static const char *const demands[] = { "requir", "must", "need", "mandat", "enforc", NULL };
	static const char *const means[] = { "encryption", "encrypted connection",
		"encrypted session", "connection must be encrypted", NULL };
	const char *text = reply->text;

	if (reply->code < 400)
		return false;
	if (reply->code == 530 || reply->code == 523 ||
		strcmp(reply->enhanced + !!reply->enhanced[0], ".7.10") == 0)
		return true;
	if (!may_be_about_tls(reply))
		return false;
	if (has_word(text, "STARTTLS"))
		return true;
	return has_any(text, demands) &&
		(has_word(text, "TLS") || has_word(text, "SSL") || has_any(text, means));
}

/* What an error, or a look-up, means without any reply. */
static void
mean_ours(struct outcome *out, enum meaning class, enum blame blame)
{
	out->meant = true;
	out->meaning.class = class;
	out->meaning.blame = blame;
}

void
outcome_from_error(struct outcome *out, enum outcome_step step, const char *text, const char *host)
{
	outcome_defer(out, SCOPE_SITE, error_codes[step], text);
	text_copy(out->class, sizeof out->class, error_classes[step]);
	mean_ours(out, error_meanings[step], BLAME_TRANSIENT);
	text_copy(out->host, sizeof out->host, host);
}

static void
outcome_ours(struct outcome *out, enum outcome_kind kind, enum outcome_scope scope,
	const char *enhanced, const char *text)
{
	out->kind = kind;
	out->scope = scope;
	out->retry_now = out->local = out->egress = out->ambiguous = out->relayed = false;
	out->code = 0;
	out->host[0] = out->tls[0] = '\0';
	out->meant = false;
	out->meaning = (struct reply_meaning){ .known = false };
	text_copy(out->enhanced, sizeof out->enhanced, enhanced);
	text_copy(out->class, sizeof out->class, "ours");
	text_copy(out->text, sizeof out->text, text);
}

void
outcome_bounce(struct outcome *out, const char *enhanced, const char *text)
{
	outcome_ours(out, OUTCOME_BOUNCE, SCOPE_MESSAGE, enhanced, text);
	if (strncmp(enhanced, "5.1.", 4) != 0 && strcmp(enhanced, "5.4.4") != 0)
		return;
	text_copy(out->class, sizeof out->class, "dns"); /* no such domain, or no host */
	mean_ours(out, MEANING_BAD_DOMAIN, BLAME_RECIPIENT);
}

void
outcome_defer(struct outcome *out, enum outcome_scope scope, const char *enhanced, const char *text)
{
	outcome_ours(out, OUTCOME_DEFER, scope, enhanced, text);
}

void
outcome_local(struct outcome *out, const char *enhanced, const char *text)
{
	outcome_defer(out, SCOPE_MESSAGE, enhanced, text);
	out->local = true;
}

/* The meaning of an error of which only the class was kept. */
static void
recall_error(struct outcome *out)
{
	for (enum outcome_step step = STEP_DNS; step <= STEP_MAIL; step++)
		if (strcmp(out->class, error_classes[step]) == 0) {
			mean_ours(out, error_meanings[step], BLAME_TRANSIENT);
			return;
		}
}

void
outcome_recall(struct outcome *out, const char *text, const char *host, const char *class,
	const struct replies *replies)
{
	struct reply reply;

	outcome_defer(out, SCOPE_SITE, "4.4.0", text);
	text_copy(out->host, sizeof out->host, host);
	text_copy(out->class, sizeof out->class, class);
	recall_error(out);
	reply_start(&reply);
	if (strspn(text, "0123456789") != 3 ||
		reply_line(&reply, text, strlen(text), NULL, NULL) <= 0)
		return;
	out->code = reply.code;
	set_enhanced(out, &reply);
	mean(out, STAGE_ANY, text, reply.code, host, replies);
}

void
outcome_hide_addresses(struct outcome *out)
{
	char text[sizeof out->text], *save = text, *word;
	size_t length = 0;

	text_copy(text, sizeof text, out->text);
	while ((word = strsep(&save, " "))) {
		const char *shown = strchr(word, '@') ? "..." : word;

		if (length + strlen(shown) + 1 < sizeof out->text)
			length += (size_t)snprintf(out->text + length, sizeof out->text - length,
				"%s%s", length ? " " : "", shown);
	}
}

bool
outcome_is_hard_bounce(const struct outcome *outcome)
{
	if (outcome->kind != OUTCOME_BOUNCE)
		return false;
	if (outcome->meaning.known)
		return outcome->meaning.blame == BLAME_RECIPIENT &&
			outcome->meaning.class != MEANING_POLICY;
	if (outcome->code)
		return outcome->scope == SCOPE_RECIPIENT &&
			strncmp(outcome->enhanced, "5.7.", 4) != 0;
	return strncmp(outcome->enhanced, "5.1.", 4) == 0;
}

bool
outcome_is_unknown_user(const struct outcome *outcome)
{
	if (outcome->meaning.known)
		return outcome_is_hard_bounce(outcome) &&
			outcome->meaning.class == MEANING_BAD_MAILBOX;
	return outcome_is_hard_bounce(outcome) && outcome->code &&
		(strcmp(outcome->enhanced, "5.1.1") == 0 ||
			strcmp(outcome->enhanced, "5.1.6") == 0);
}
