/*
 * state_dir.c - takes state_dir for this process, by an advisory lock on a file in it.
 *
 * The kernel drops the lock when the process ends, however it ends.
 */
#include "shared/base/state_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/random.h"

int
directory_sync(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0 || fsync(fd) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	free(parent);
	return err;
}

static bool
secret_read(const char *path, char secret[SECRET_TEXT_SIZE])
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	bool ok;

	if (fd < 0)
		return false;
	ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
		(st.st_mode & 077) == 0 && read(fd, secret, 64) == 64;
	close(fd);
	secret[64] = '\0';
	return ok && strspn(secret, "0123456789abcdef") == 64;
}

static int
secret_write(const char *path, const char secret[SECRET_TEXT_SIZE])
{
	char *fresh = xasprintf("%s.new", path);
	int fd, err = 0;

	unlink(fresh);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, secret, 64) != 64 || write(fd, "\n", 1) != 1 || fsync(fd) < 0 ||
		rename(fresh, path) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	free(fresh);
	return err ? err : directory_sync(path);
}

int
secret_file_get(const char *path, char secret[SECRET_TEXT_SIZE])
{
	if (secret_read(path, secret))
		return 0;
	random_text(secret, SECRET_TEXT_SIZE - 1, "0123456789abcdef");
	return secret_write(path, secret);
}

int
secret_file_keep(const char *path, char secret[SECRET_TEXT_SIZE])
{
	struct stat st;

	if (!secret_read(path, secret) && lstat(path, &st) == 0)
		return -EPERM;
	return secret_file_get(path, secret);
}

/* Follows no link: somebody may have put one in the directory's place. */
static int
give(const char *path, uid_t uid, gid_t gid)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), err = 0;

	if (fd < 0 || fchown(fd, uid, gid) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

int
directory_make_for(const char *path, uid_t uid, gid_t gid)
{
	int err = 0;

	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 : -errno;
	if (uid != geteuid() || gid != getegid())
		err = give(path, uid, gid);
	if (err)
		rmdir(path);
	return err ? err : directory_sync(path);
}

int
directory_make(const char *path)
{
	return directory_make_for(path, geteuid(), getegid());
}

/* False, with the path in `found`, for the first entry that belongs to another user. Directories in
 * state_dir have no further directories. */
static bool
entries_are_ours(const char *path, bool deeper, char *found)
{
	DIR *dir = opendir(path);
	char below[PATH_MAX];
	struct dirent *entry;
	bool ours = true;
	struct stat st;

	while (dir && ours && (entry = readdir(dir))) {
		/* lost+found belongs to the file system */
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "lost+found") == 0 ||
			fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		snprintf(found, PATH_MAX, "%s/%s", path, entry->d_name);
		ours = st.st_uid == geteuid();
		if (ours && deeper && S_ISDIR(st.st_mode)) {
			snprintf(below, sizeof below, "%s", found);
			ours = entries_are_ours(below, false, found);
		}
	}
	if (dir)
		closedir(dir);
	return ours;
}

bool
state_dir_is_ours(const char *path, char *found)
{
	return entries_are_ours(path, true, found);
}

/* The lock file names the process that has the lock. */
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
	int err = directory_make(path);

	*dir = (struct state_dir){ -1, -1, "" };
	snprintf(dir->path, sizeof dir->path, "%s", path);
	if (err < 0) {
		LOG_ERROR("cannot make state_dir", "directory", path, "error", strerror(-err));
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
state_dir_has_room(const struct state_dir *dir, unsigned min_free, char why[STATE_DIR_WHY_MAX])
{
	struct statvfs disk;

	if (fstatvfs(dir->fd, &disk) || disk.f_bavail * 100 >= disk.f_blocks * min_free)
		return true;
	snprintf(why, STATE_DIR_WHY_MAX,
		"the disk of %s is full: %u %% is free, less than queue.min_free (%u %%): new mail "
		"is refused (452) until there is room",
		dir->path, (unsigned)(disk.f_bavail * 100 / disk.f_blocks), min_free);
	return false;
}

void
state_dir_close(struct state_dir *dir)
{
	if (dir->lock_fd >= 0)
		close(dir->lock_fd);
	if (dir->fd >= 0)
		close(dir->fd);
	*dir = (struct state_dir){ -1, -1, "" };
}
