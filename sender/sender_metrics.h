/*
 * sender_metrics.h - the sender's metrics that are of no part alone.
 */
#ifndef SENDER_SENDER_METRICS_H
#define SENDER_SENDER_METRICS_H

struct sender_metrics;

void sender_metrics_new(struct sender_metrics *metrics);

#endif
