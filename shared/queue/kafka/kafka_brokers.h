/*
 * kafka_brokers.h - whether each broker answers, and has the topics; nothing is changed.
 */
#ifndef SHARED_KAFKA_BROKERS_H
#define SHARED_KAFKA_BROKERS_H

struct config;

struct kafka_brokers_handler {
	void (*away)(void *arg, const char *broker, const char *why); /* "host:port" */
	void (*missing)(void *arg, const char *topic);
};

/* Asks those of queue.brokers, and those that they name, one after the other for `timeout_ms` each.
 * How many answer; of topics nothing is said when none does. Blocking. */
unsigned kafka_brokers_ask(const struct config *config, int timeout_ms,
	const struct kafka_brokers_handler *handler, void *arg);

#endif
