/*
 * check.h - `shout check`: what a start would find, and what is unwise.
 */
#ifndef CMD_CHECK_CHECK_H
#define CMD_CHECK_CHECK_H

#include <stdbool.h>

#include "shared/base/json.h"
#include "shared/config/config.h"
#include "shared/process/privileges.h"

/* Prints findings on standard output, with `as_json` as one object. Asks the servers that Shout
 * depends on, for a few seconds each. Becomes the user on its way, for good, as a start does. 0, or
 * 1 when a start would fail; a warning is no failure. */
int check(const struct config *config, bool as_json);

/* What is said of a reply, and by whom. */
struct check_reply {
	const char *mx, *text;
	const char *stage; /* NULL: anywhere in the dialogue */
};
/* `shout check --mx HOST --reply TEXT`: tells what the reply means, by which rule, and what the
 * sender does. `own`: the operator's file of rules, or NULL. 0, or 1 after saying why not. */
int check_reply(const char *own, const struct check_reply *asked, bool as_json);

/* For the files of check only. */
struct findings {
	const struct config *config;
	struct identity identity; /* who Shout will be */
	unsigned errors, warnings;
	struct json *json; /* NULL: as text */
};
void fail(struct findings *findings, const char *format, ...) __attribute__((format(printf, 2, 3)));
void warn(struct findings *findings, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Checks who may read or change the files of the configuration, and state_dir. Called as root, if
 * root checks. */
void check_files(struct findings *findings);
/* Checks the addresses to listen on, and names and addresses of this machine. Called as root, if
 * root checks. */
void check_ports(struct findings *findings);
void check_names(struct findings *findings);
/* Called as the user. Tells how many response rules there are, or why they cannot be used. */
void check_replies(struct findings *findings);
void check_clamd(struct findings *findings);
void check_resolver(struct findings *findings);
/* Checks each broker, also those that other brokers name, and that the topics are there. */
void check_brokers(struct findings *findings);
/* Asks each sentinel, if there are any, where the master is. */
void check_sentinels(struct findings *findings);
/* Checks that Redis answers, takes a write, and keeps its data. */
void check_redis_memory(struct findings *findings);

#endif
