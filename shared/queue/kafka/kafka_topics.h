/*
 * kafka_topics.h - `shout topics`: creates the queue's topics on the brokers, adds partitions when
 * queue.partitions has grown, and names every setting that could lose mail.
 */
#ifndef SHARED_KAFKA_TOPICS_H
#define SHARED_KAFKA_TOPICS_H

#include <stdbool.h>
#include <stdio.h>

struct config;

/* Writes a table, or with `as_json` one object, and a line for each finding. 0; 1 when there are
 * findings, or the brokers did not do what was asked. Blocking. */
int kafka_topics(const struct config *config, bool as_json, FILE *out);

/* Writes the topics as KafkaTopics, resources of Kubernetes, for the Kafka that Strimzi runs as
 * `cluster`: a name of lower-case letters, digits, '-' and '.'. Asks no broker. */
void kafka_topics_print(const struct config *config, const char *cluster, FILE *out);

#endif
