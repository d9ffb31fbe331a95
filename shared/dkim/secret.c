/*
 * secret.c - where the secret comes from.
 *
 * A secret of its own can only serve a queue that no other machine reads: in a cluster the machine
 * that makes a key and the one that signs with it differ.
 */
#include "shared/dkim/secret.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/state_dir.h"
#include "shared/config/config.h"

static unsigned
digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static void
from_hex(const char *text, uint8_t out[DKIM_SECRET_SIZE])
{
	for (size_t i = 0; i < DKIM_SECRET_SIZE; i++)
		out[i] = (uint8_t)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
}

bool
dkim_secret_get(const struct config *config, uint8_t out[DKIM_SECRET_SIZE])
{
	char text[SECRET_TEXT_SIZE], *path;
	int err;

	if (config->dkim.secret) {
		from_hex(config->dkim.secret, out);
		return true;
	}
	if (config->queue.backend != BACKEND_LMDB)
		return false;
	path = xasprintf("%s/dkim.secret", config->state_dir);
	err = secret_file_keep(path, text);
	if (err)
		LOG_ERROR("the secret of DKIM keys cannot be used: it has to be a file of 64 hex "
			  "signs for its owner alone",
			"file", path, "error", strerror(-err));
	else
		from_hex(text, out);
	explicit_bzero(text, sizeof text);
	free(path);
	return !err;
}
