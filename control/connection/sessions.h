/*
 * sessions.h - records of sessions (ingress/session/record.h), picked and shown. Pure.
 */
#ifndef CONTROL_SESSIONS_H
#define CONTROL_SESSIONS_H

#include <jansson.h>

/* One record a session, with its dialogue if one of them has it, the newest first; the caller
 * releases the list. The records are borrowed. */
json_t *sessions_sort(const json_t *records);
/* The last TALK_SESSIONS sessions and the last TALK_FAILED with a dialogue of such a list, as the
 * API shows them. */
json_t *sessions_shown(const json_t *sorted);

#endif
