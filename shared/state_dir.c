/*
 * state_dir.c - takes state_dir for this process.
 *
 * An advisory lock on a file in it: it goes with the process, however that ends.
 */
#include "shared/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "shared/log.h"

/* The file names the process that holds it. */
static int
take_lock(struct state_dir *dir)
{
	char pid[24] = "unknown";
	ssize_t got;

	dir->lock_fd = openat(dir->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (dir->lock_fd < 0) {
		LOG_ERROR("cannot open the lock of state_dir", "error", strerror(errno));
		return -1;
	}
	if (flock(dir->lock_fd, LOCK_EX | LOCK_NB)) {
		got = read(dir->lock_fd, pid, sizeof pid - 1);
		if (got > 0)
			pid[strcspn(pid, "\n")] = '\0';
		LOG_ERROR("another process works on this state_dir", "pid", pid);
		return -1;
	}
	if (ftruncate(dir->lock_fd, 0) || dprintf(dir->lock_fd, "%ld\n", (long)getpid()) < 0)
		LOG_WARN("cannot write the lock of state_dir", "error", strerror(errno));
	return 0;
}

int
state_dir_open(struct state_dir *dir, const char *path)
{
	*dir = (struct state_dir){ -1, -1 };
	if (mkdir(path, 0700) && errno != EEXIST) {
		LOG_ERROR("cannot make state_dir", "directory", path, "error", strerror(errno));
		return -1;
	}
	dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->fd < 0) {
		LOG_ERROR("cannot open state_dir", "directory", path, "error", strerror(errno));
		return -1;
	}
	return take_lock(dir);
}

bool
state_dir_has_room(const struct state_dir *dir, unsigned min_free)
{
	struct statvfs disk;

	return fstatvfs(dir->fd, &disk) || disk.f_bavail * 100 >= disk.f_blocks * min_free;
}

void
state_dir_close(struct state_dir *dir)
{
	if (dir->lock_fd >= 0)
		close(dir->lock_fd);
	if (dir->fd >= 0)
		close(dir->fd);
	*dir = (struct state_dir){ -1, -1 };
}
