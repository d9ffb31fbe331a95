/*
 * config_live.h - settings that change while the process runs.
 *
 * SIGHUP: config_load_again() -> config_compare() names what differs -> config_take() -> each role
 * takes over what it has copied. Threads read the other settings in struct config, so such members
 * are atomic. config_schema.c alone lists the keys that may change.
 */
#ifndef SHARED_CONFIG_LIVE_H
#define SHARED_CONFIG_LIVE_H

#include "shared/config/config.h"

struct config_change {
	const char *path;           /* "limits.default.messages_hour" */
	const char *before, *after; /* as in the file; "(secret)" for a secret */
	bool live;                  /* config_take() takes the new value */
};
typedef void (*config_change_cb)(void *arg, const struct config_change *change);

/* Names each setting that differs in `fresh`, which comes from config_load_again(). */
void config_compare(
	const struct config *config, const struct config *fresh, config_change_cb cb, void *arg);
/* Whether the configuration names other files with certificates and keys. */
bool config_other_certificates(const struct config *config, const struct config *fresh);
/* The same of control's certificate, where both have one. */
bool config_other_control(const struct config *config, const struct config *fresh);
/* Takes the settings that may change. The two swap the names of certificates' files, so that
 * `fresh` frees the old ones. Main thread. */
void config_take(struct config *config, struct config *fresh);

/* Names each key of the schema. A list is one key. */
void config_each_key(void (*cb)(void *arg, const char *path), void *arg);
bool config_is_live(const char *path);

#endif
