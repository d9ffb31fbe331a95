/*
 * reply_counts.c - replies by class and scope.
 *
 * sender:  attempt -> [reply_counts] -> /metrics, unknown_replies (Redis) -> control
 */
#include "sender/mail/reply_counts.h"

#include <stdlib.h>

#include "sender/policy/outcome.h"
#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/work/unknown_replies.h"

struct reply_counts {
	struct metric *metrics[MEANING_COUNT][BLAME_COUNT]; /* NULL: none so far */
	struct unknown_replies *unknown;
};

static struct metric *
metric_of(struct reply_counts *counts, enum meaning class, enum blame blame)
{
	struct metric *metric = counts->metrics[class][blame];
	char labels[METRIC_LABELS_MAX] = "";

	if (metric)
		return metric;
	metric_label(labels, "class", meaning_name(class));
	metric_label(labels, "scope", blame_name(blame));
	metric = metric_counter("shout_sender_replies_total",
		"Refusals by remotes, for good or for now, of recipients and connections, by what "
		"they mean and whom they blame",
		labels);
	counts->metrics[class][blame] = metric;
	return metric;
}

/* What alerts look at is there before it happens. */
struct reply_counts *
reply_counts_new(struct loop *loop, struct redis *redis)
{
	struct reply_counts *counts = xcalloc(1, sizeof *counts);

	counts->unknown = unknown_replies_new(loop, redis);
	metric_of(counts, MEANING_OTHER, BLAME_TRANSIENT);
	metric_of(counts, MEANING_OTHER, BLAME_RECIPIENT);
	metric_of(counts, MEANING_OTHER, BLAME_MESSAGE);
	metric_of(counts, MEANING_IP_REPUTATION, BLAME_EGRESS_IP);
	metric_of(counts, MEANING_IP_REPUTATION, BLAME_NETBLOCK);
	metric_of(counts, MEANING_DNSBL, BLAME_EGRESS_IP);
	metric_of(counts, MEANING_PTR_OR_HELO, BLAME_OURS);
	return counts;
}

void
reply_counts_free(struct reply_counts **counts_ref)
{
	struct reply_counts *counts = *counts_ref;

	if (!counts)
		return;
	unknown_replies_free(&counts->unknown);
	free(counts);
	*counts_ref = NULL;
}

void
reply_count(struct reply_counts *counts, const struct outcome *outcome)
{
	const struct reply_meaning *meaning = &outcome->meaning;
	struct outcome anonymous;

	if (!outcome->meant || !outcome->code)
		return;
	metric_add(metric_of(counts, meaning->class, meaning->blame), 1);
	if (meaning->known)
		return;
	anonymous = *outcome;
	outcome_hide_addresses(&anonymous);
	unknown_replies_note(counts->unknown, meaning->provider, anonymous.host, anonymous.text);
}
