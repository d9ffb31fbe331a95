/*
 * state_dir.h - the directory of a process's own: made when missing, locked while the process runs.
 */
#ifndef SHARED_STATE_DIR_H
#define SHARED_STATE_DIR_H

#include <stdbool.h>
#include <sys/types.h>

/* Makes a directory that only its owner may look into, unless it exists. The new directory survives
 * a power cut. Missing parents are not made: they mean a typing error, or a disk that is not
 * mounted. 0 or -errno. */
int directory_make(const char *path);
/* The same, for another user. */
int directory_make_for(const char *path, uid_t uid, gid_t gid);
/* Makes an entry at `path` survive a power cut: fsync of its parent directory. 0 or -errno. */
int directory_sync(const char *path);

/* Whether all files in the directory belong to this process's user. False: `found` (of PATH_MAX
 * bytes) is one that does not. */
bool state_dir_is_ours(const char *path, char *found);

/* A secret of 256 bits as 64 hex signs, kept in a file that only its owner may read; made when the
 * file is missing or may be read by others. 0 or -errno. */
#define SECRET_TEXT_SIZE 65
int secret_file_get(const char *path, char secret[SECRET_TEXT_SIZE]);
/* The same, but a file that is there is never replaced: -EPERM when it cannot be taken. */
int secret_file_keep(const char *path, char secret[SECRET_TEXT_SIZE]);

/* Both are -1 while the directory is not taken. */
struct state_dir {
	int fd, lock_fd;
	char path[256]; /* for what people read */
};

/* 0, or -1 after logging why. The caller calls state_dir_close() in both cases. */
int state_dir_open(struct state_dir *dir, const char *path);
#define STATE_DIR_WHY_MAX 448
/* Whether at least `min_free` percent of the directory's disk are free. If not, `why` tells so to
 * an operator. */
bool
state_dir_has_room(const struct state_dir *dir, unsigned min_free, char why[STATE_DIR_WHY_MAX]);
/* Takes a state_dir that was never opened, too. */
void state_dir_close(struct state_dir *dir);

#endif
