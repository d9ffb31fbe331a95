/*
 * egress_edit.h - changes of egress IPs: from a request to the new entry of relay.config
 * (shared/egress/egress_entry.h). Pure. As in accounts.h: 0 with the edit's `changes` and `reply`,
 * or -1 with its fault.
 */
#ifndef CONTROL_EGRESS_EDIT_H
#define CONTROL_EGRESS_EDIT_H

#include <stdint.h>

#include <jansson.h>

#include "control/account/accounts.h"

/* {"ip","helo","pool","weight","via","warm"} */
int egress_add(struct edit *edit, const json_t *body, uint64_t now_us);
/* {"helo","pool","weight","via","warm","rest_until","lifted"}, at least one of them. "rest_until"
 * and "via" null: no more. "lifted": true: blocks of the IP are lifted. */
int egress_change(struct edit *edit, const char *ip, const json_t *body, uint64_t now_us);
int egress_remove(struct edit *edit, const char *ip);
/* The entry of the IP, in any of its forms; NULL: there is none. */
const json_t *egress_entry_of(const struct directory *directory, const char *ip);
/* As the API shows it, without secrets; the caller releases it. */
json_t *egress_show(const json_t *entry, uint64_t now_us);

#endif
