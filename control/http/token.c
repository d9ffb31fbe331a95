/*
 * token.c - the token of the API, a file in state_dir for its owner alone.
 */
#include "control/http/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/state_dir.h"

/* The token of an earlier start if there is one, else a new one. */
int
token_get(const char *state_dir, char token[TOKEN_SIZE])
{
	char *path = xasprintf("%s/control.token", state_dir);
	const int err = secret_file_get(path, token);

	if (err)
		LOG_ERROR("control: cannot write the token", "file", path, "error", strerror(-err));
	free(path);
	return err;
}
