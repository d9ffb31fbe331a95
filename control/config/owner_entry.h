/*
 * owner_entry.h - the entry of relay.config that names the owner of the accounts (owner.h).
 */
#ifndef CONTROL_OWNER_ENTRY_H
#define CONTROL_OWNER_ENTRY_H

#include <jansson.h>

/* A new entry OWNER_KEY of relay.config (shared/account/owner.h). */
json_t *owner_entry_new(void);

#endif
