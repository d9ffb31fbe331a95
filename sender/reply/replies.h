/*
 * replies.h - what remotes' replies mean: the operator's own rules, then the built-in ones
 * (deploy/shaping.yaml, which is compiled in). For one thread at a time.
 */
#ifndef SENDER_REPLIES_H
#define SENDER_REPLIES_H

#include <stdbool.h>
#include <stddef.h>

#include "sender/reply/rules_file.h"

struct replies;

/* A reply, as it came. */
struct reply_said {
	const char *host; /* "mx1.example[192.0.2.1]": by its name the provider is known */
	const char *text; /* with its code, or without */
	int code;         /* 0: as in the text */
	unsigned stages;  /* of enum reply_stage: where in the dialogue */
};

struct reply_meaning {
	enum meaning class;
	enum blame blame;
	struct reactions reactions; /* to this reply: its code was looked at */
	bool known;                 /* a rule says so */
	char rule[RULE_NAME_MAX];
	char provider[PROVIDER_NAME_MAX]; /* "": none that a rule names */
};

/* `own`: the operator's file, which is read now; NULL: none. NULL: the file is refused, and *why
 * (which the caller frees) says where and why, a line for each mistake. */
struct replies *replies_new(const char *own, char **why);
void replies_free(struct replies **replies);
/* Reads the operator's file again. False: it is refused, what was read before stays, and *why says
 * where and why. */
bool replies_reload(struct replies *replies, const char *own, char **why);
/* How many rules there are. */
size_t replies_own_count(const struct replies *replies);
size_t replies_built_in_count(const struct replies *replies);

/* The limits of a lane to the site of that host: the operator's own entries count before ours, and
 * an entry for the provider before one for all. `own_only`: ours are not asked. False: no entry
 * says anything. */
bool replies_limits(const struct replies *replies, const char *host, bool own_only,
	struct lane_limits *limits_out);

void replies_mean(
	const struct replies *replies, const struct reply_said *said, struct reply_meaning *out);

#endif
