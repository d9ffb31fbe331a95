/*
 * config_live.h - settings that change while the process runs.
 *
 * SIGHUP: config_load_again() -> config_compare() names what differs -> config_take() -> each role
 * takes over what it has copied. Threads read the others where they are, in struct config: such
 * members are atomic. Which keys that are is said in config_schema.c alone.
 */
#ifndef SHARED_CONFIG_LIVE_H
#define SHARED_CONFIG_LIVE_H

#include "shared/config/config.h"

struct config_change {
	const char *path;           /* "limits.default.messages_hour" */
	const char *before, *after; /* as in the file; "(secret)" for a secret */
	bool live;                  /* config_take() takes it */
};
typedef void (*config_change_cb)(void *arg, const struct config_change *change);

/* Names what `fresh`, from config_load_again(), has otherwise. */
void config_compare(
	const struct config *config, const struct config *fresh, config_change_cb cb, void *arg);
/* Whether the files with certificates and keys are others. */
bool config_other_certificates(const struct config *config, const struct config *fresh);
/* Takes what may change; certificates' names go to `fresh` and come from there. Main thread. */
void config_take(struct config *config, struct config *fresh);

/* Each key of the schema, lists as a whole. */
void config_each_key(void (*cb)(void *arg, const char *path), void *arg);
bool config_is_live(const char *path);

#endif
