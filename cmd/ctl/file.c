/*
 * file.c - writes a file that appears as a whole or not at all.
 *
 * The file is written under a temporary name beside its place, synced, then renamed: a reader sees
 * the old file or the new one. The file may have what passwords are checked by, so from the
 * beginning only its owner can read it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/log.h"
#include "shared/base/state_dir.h"

static int
refuse(const struct ctl *ctl, const char *path, const char *why)
{
	ctl_error(ctl, "cannot write %s: %s", path, why);
	return -1;
}

/* Refuses a device, a directory or a link: a rename would replace it. */
static int
check_place(const struct ctl *ctl, const struct ctl_file *file)
{
	struct stat st;

	if (lstat(file->path, &st) < 0)
		return errno == ENOENT ? 0 : refuse(ctl, file->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return refuse(ctl, file->path, "it is there, and no file");
	if (!file->force)
		return refuse(ctl, file->path, "it is there already (--force replaces it)");
	return 0;
}

int
file_begin(const struct ctl *ctl, struct ctl_file *file, const char *path, bool force)
{
	int fd;

	*file = (struct ctl_file){ .path = path, .force = force };
	if (strcmp(path, "-") == 0) {
		file->stream = stdout;
		return 0;
	}
	if (check_place(ctl, file) < 0)
		return -1;
	file->temporary = xasprintf("%s.XXXXXX", path);
	fd = mkostemp(file->temporary, O_CLOEXEC); /* mode 0600 */
	file->stream = fd < 0 ? NULL : fdopen(fd, "w");
	if (file->stream)
		return 0;
	refuse(ctl, path, strerror(errno));
	free(file->temporary);
	return -1;
}

/* Without `force` no file is replaced, not even one that has appeared meanwhile. */
static int
put_in_place(const struct ctl_file *file)
{
	if (file->force)
		return rename(file->temporary, file->path);
	return renameat2(AT_FDCWD, file->temporary, AT_FDCWD, file->path, RENAME_NOREPLACE);
}

int
file_end(const struct ctl *ctl, struct ctl_file *file, bool good)
{
	int err = 0;

	if (!file->temporary)
		return 0; /* main() flushes standard output */
	if (good && (fflush(file->stream) != 0 || fsync(fileno(file->stream)) < 0))
		err = errno;
	if (fclose(file->stream) != 0 && !err)
		err = errno;
	if (good && !err && put_in_place(file) < 0)
		err = errno;
	if (!good || err)
		unlink(file->temporary);
	else
		err = -directory_sync(file->path);
	free(file->temporary);
	return good && err ? refuse(ctl, file->path, strerror(err)) : 0;
}
