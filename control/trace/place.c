/*
 * place.c - the file "place" of the trace.
 *
 * trace.c -> [place] -> state_dir/trace/place
 *
 * A crash leaves the file of before or the new one: the new one is durable before it takes the
 * name.
 */
#include "control/trace/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/log.h"

static int
sync_directory(const char *directory)
{
	const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const int err = fd < 0 || fsync(fd) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return err;
}

static int
write_file(const char *path, const char *text)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	const ssize_t length = (ssize_t)strlen(text);
	ssize_t written;
	int err = 0;

	if (fd < 0)
		return -errno;
	written = write(fd, text, (size_t)length);
	if (written < 0)
		err = -errno;
	else if (written < length)
		err = -ENOSPC;
	else if (fsync(fd) < 0)
		err = -errno;
	close(fd);
	return err;
}

int
place_save(const char *directory, const char *place, json_t *days)
{
	json_t *whole = json_pack("{s:s, s:O}", "place", place, "days", days);
	char *text = json_dumps(whole, JSON_COMPACT);
	char *path = xasprintf("%s/place", directory), *new = xasprintf("%s.new", path);
	int err = write_file(new, text);

	if (!err && rename(new, path) < 0)
		err = -errno;
	free(new);
	free(path);
	free(text);
	json_decref(whole);
	return err ? err : sync_directory(directory);
}

json_t *
place_load(const char *directory)
{
	char *path = xasprintf("%s/place", directory);
	json_t *whole = json_load_file(path, 0, NULL);

	free(path);
	return whole;
}

void
place_remove(const char *directory)
{
	char *path = xasprintf("%s/place", directory);

	unlink(path);
	free(path);
}
