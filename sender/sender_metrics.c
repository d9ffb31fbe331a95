/*
 * sender_metrics.c - the sender's metrics that are of no part alone.
 *
 * sender -> [sender_metrics] -> metrics
 */
#include "sender/sender_metrics.h"

#include "sender/mail/sender.h"
#include "shared/metrics/metrics.h"

void
sender_metrics_new(struct sender_metrics *m)
{
	static const char delivery[] = "shout_sender_delivery_seconds";
	static const char delivery_help[] =
		"From our 250 to the remote's, of each recipient, by the attempt that got it";

	m->ambiguous = metric_counter("shout_sender_ambiguous_total",
		"Recipients whose message went out whole and got no answer: it may have arrived",
		NULL);
	m->attempt_seconds = metric_histogram(
		"shout_sender_attempt_seconds", "From MAIL to the last reply", NULL);
	m->first_seconds = metric_histogram_long(delivery, delivery_help, "attempt=\"first\"");
	m->later_seconds = metric_histogram_long(delivery, delivery_help, "attempt=\"later\"");
	m->in_hand = metric_gauge("shout_sender_records", "Records of mail.ready in memory", NULL);
	m->attempting = metric_gauge("shout_sender_in_flight", "Attempts under way", NULL);
	m->sites = metric_gauge("shout_sender_sites", "Sites known to the scheduler", NULL);
	m->resting = metric_gauge("shout_sender_sites_resting", "Sites that rest", NULL);
	m->waiting = metric_gauge(
		"shout_sender_scheduled", "Messages in memory that wait for their turn", NULL);
	m->rows = metric_gauge("shout_sender_waiting", "Rows of deferred and held mail", NULL);
	m->held = metric_gauge("shout_sender_held",
		"Of them, mail that was held before it was tried, and waits for an operator", NULL);
	m->loaded = metric_gauge("shout_sender_loaded", "Rows of waiting mail in memory", NULL);
	m->timers = metric_gauge("shout_sender_timers", "Sites whose rows have a due time", NULL);
	m->egress_ips = metric_gauge(
		"shout_sender_egress_ips", "Egress IPs this sender knows", NULL);
	m->egress_unusable = metric_gauge("shout_sender_egress_unusable",
		"Egress IPs that this sender cannot bind, or whose proxy fails", NULL);
	m->oldest_due = metric_gauge("shout_sender_next_due_seconds",
		"When the next row is due, seconds since 1970 (0: none waits)", NULL);
}
