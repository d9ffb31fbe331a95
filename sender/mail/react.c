/*
 * react.c - what outcomes do to a lane: response rules first, else their place in the dialogue.
 *
 * attempt -> [react] -> schedule, egress, deferral
 */
#include "sender/mail/react.h"

#include "sender/egress/egress.h"
#include "sender/egress/limiter.h"
#include "sender/mail/lane.h"
#include "sender/mail/sender.h"
#include "sender/policy/outcome.h"
#include "sender/smtp/client.h"
#include "sender/waiting/deferral.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/metrics/metrics.h"

/* The same for all senders. */
static void
react_everywhere(struct sender *sender, const char *lane, const struct outcome *trouble)
{
	const struct reactions *reactions = &trouble->meaning.reactions;
	const enum blame blame = trouble->meaning.blame;
	const uint64_t rest = reactions->break_s ? reactions->break_s * UINT64_C(1000000)
						 : sender->times.rest_max_us;

	if (!trouble->meaning.known)
		return;
	if (reactions->set & REACTION_SLOW)
		limiter_react(sender->limiter, lane, LANE_SLOW, 0, trouble->text);
	if (reactions->set & REACTION_SINGLE)
		limiter_react(sender->limiter, lane, LANE_SINGLE, 0, trouble->text);
	if (reactions->set & (REACTION_BREAK | REACTION_REST_IP))
		limiter_react(sender->limiter, lane, LANE_REST, rest, trouble->text);
	if (blame == BLAME_EGRESS_IP || blame == BLAME_NETBLOCK)
		limiter_blame(sender->limiter, lane, (unsigned)egress_count(sender->egress),
			trouble->text);
}

/* Does what the rules say of a reply, or else what its place in the dialogue says. True: the site
 * began or ended a rest. */
static bool
react(struct sender *sender, struct schedule_connection *connection,
	enum schedule_feedback feedback, const struct outcome *trouble, uint64_t now)
{
	const unsigned set = trouble ? trouble->meaning.reactions.set : 0;
	struct schedule *schedule = sender->schedule;

	if (set & REACTION_PAGE)
		LOG_ERROR("a host refuses us, not the mail, which waits", "site",
			schedule_site_name(connection->site), "class",
			meaning_name(trouble->meaning.class), "scope",
			blame_name(trouble->meaning.blame), "reply", trouble->text);
	if (set & (REACTION_SLOW | REACTION_SINGLE))
		schedule_narrow(connection->site, set & REACTION_SINGLE);
	if (sender->limiter && trouble && feedback != FEEDBACK_SUCCESS)
		limiter_deferred(sender->limiter, schedule_site_name(connection->site));
	if (sender->limiter && trouble)
		react_everywhere(sender, schedule_site_name(connection->site), trouble);
	if (set & (REACTION_BREAK | REACTION_REST_IP))
		return schedule_break(schedule, connection,
			(uint64_t)trouble->meaning.reactions.break_s * 1000000, now);
	return schedule_feedback(schedule, connection, feedback, now);
}

void
react_site(struct sender *sender, struct schedule_connection *connection,
	enum schedule_feedback feedback, const struct outcome *trouble)
{
	struct schedule_site *site = connection->site;
	const uint64_t now = clock_us();
	const bool changed = react(sender, connection, feedback, trouble, now);
	char name[SITE_NAME_MAX];

	if (trouble)
		schedule_troubled(sender->schedule, site, trouble, now);
	if (changed) {
		lane_site(schedule_site_name(site), name);
		LOG_INFO(feedback == FEEDBACK_SUCCESS ? "site answers again" : "site rests", "site",
			name, "egress_ip", lane_ip(schedule_site_name(site)));
		deferral_poke(sender->deferral, name);
	}
}

/* Whether the site did what it was asked. A refusal for good is an answer, too. */
static enum schedule_feedback
feedback_of(const struct transaction *transaction, const struct outcome **trouble_out)
{
	enum schedule_feedback feedback = FEEDBACK_NONE;
	const struct outcome *outcome;

	*trouble_out = NULL;
	for (size_t i = 0; i < transaction->count; i++) {
		outcome = &transaction->outcomes[i];
		if (outcome->kind != OUTCOME_DEFER) {
			*trouble_out = NULL;
			return FEEDBACK_SUCCESS;
		}
		if (outcome->retry_now || outcome->local || feedback == FEEDBACK_SITE)
			continue;
		if (outcome->scope != SCOPE_SITE && feedback != FEEDBACK_NONE)
			continue;
		feedback = outcome->scope == SCOPE_SITE ? FEEDBACK_SITE : FEEDBACK_TRANSIENT;
		*trouble_out = outcome;
	}
	return feedback;
}

/* Other mail that waits for the site is told the site's reply, but not the address in the reply. */
void
react_transaction(struct sender *sender, struct schedule_connection *connection,
	const struct transaction *transaction)
{
	const struct outcome *trouble;
	const enum schedule_feedback feedback = feedback_of(transaction, &trouble);
	struct outcome anonymous;

	if (trouble) {
		anonymous = *trouble;
		outcome_hide_addresses(&anonymous);
		trouble = &anonymous;
	}
	react_site(sender, connection, feedback, trouble);
}

/* Mail of the lane goes from another IP of its pool, if there is one. */
void
react_egress_failed(struct sender *sender, const char *ip, const char *why)
{
	if (egress_fault(sender->egress, ip, why, clock_us()))
		LOG_ERROR("an egress IP cannot be used", "egress_ip", ip, "error", why);
	metric_set(sender->metrics.egress_unusable, (int64_t)egress_faulty(sender->egress));
}

void
react_egress_stands(struct sender *sender, const char *ip)
{
	if (!egress_works(sender->egress, ip))
		return;
	LOG_INFO("the egress IP can be used again", "egress_ip", ip);
	metric_set(sender->metrics.egress_unusable, (int64_t)egress_faulty(sender->egress));
}
