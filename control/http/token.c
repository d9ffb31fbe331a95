/*
 * token.c - the token of the API, a file in state_dir for its owner alone.
 */
#include "control/http/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "shared/base/log.h"
#include "shared/base/state_dir.h"

#define TOKEN_BYTES 32

static bool
read_it(const char *path, char token[TOKEN_SIZE])
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	bool ok;

	if (fd < 0)
		return false;
	ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
		(st.st_mode & 077) == 0 && read(fd, token, 64) == 64;
	close(fd);
	token[64] = '\0';
	return ok && strspn(token, "0123456789abcdef") == 64;
}

static int
write_it(const char *path, const char token[TOKEN_SIZE])
{
	char *fresh = xasprintf("%s.new", path);
	int fd, err = 0;

	unlink(fresh);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, token, 64) != 64 || write(fd, "\n", 1) != 1 || fsync(fd) < 0 ||
		rename(fresh, path) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	free(fresh);
	return err ? err : directory_sync(path);
}

/* Reads an earlier start's token if the file is there and ours alone, else makes a new one. */
int
token_get(const char *state_dir, char token[TOKEN_SIZE])
{
	char *path = xasprintf("%s/control.token", state_dir);
	unsigned char random[TOKEN_BYTES];
	int err = 0;

	if (!read_it(path, token)) {
		if (RAND_bytes(random, sizeof random) != 1)
			die("no random numbers", "OpenSSL");
		for (int i = 0; i < TOKEN_BYTES; i++)
			snprintf(token + 2 * i, 3, "%02x", random[i]);
		explicit_bzero(random, sizeof random);
		err = write_it(path, token);
	}
	if (err)
		LOG_ERROR("control: cannot write the token", "file", path, "error", strerror(-err));
	free(path);
	return err;
}
