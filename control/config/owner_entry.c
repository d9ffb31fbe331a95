/*
 * owner_entry.c - a new owner for relay.config.
 */
#include "control/config/owner_entry.h"

#include "shared/account/owner.h"
#include "shared/base/loop.h"
#include "shared/base/random.h"

json_t *
owner_entry_new(void)
{
	char id[OWNER_ID_SIZE], secret[OWNER_ID_SIZE];

	random_text(id, OWNER_ID_LENGTH, "0123456789abcdef");
	random_text(secret, OWNER_ID_LENGTH, "0123456789abcdef");
	return json_pack(
		"{s:I, s:s, s:s}", "version", (json_int_t)clock_us(), "id", id, "secret", secret);
}
