/*
 * state_dir.h - a process's directory: made when missing, and nobody else's while it runs.
 */
#ifndef SHARED_STATE_DIR_H
#define SHARED_STATE_DIR_H

#include <stdbool.h>
#include <sys/types.h>

/* Makes a directory that nobody else may look into, unless it is there. It outlives a power cut.
 * Parents are not made: a missing one is a typing error, or a disk that is not mounted. 0 or
 * -errno. */
int directory_make(const char *path);
/* The same, for another user. */
int directory_make_for(const char *path, uid_t uid, gid_t gid);
/* What was made at `path` outlives a power cut: fsync of the directory it stands in. 0 or -errno.
 */
int directory_sync(const char *path);

/* Whether all that is in there belongs to the user we are, who made it then. If not, `found` (of
 * PATH_MAX bytes) is something that does not. */
bool state_dir_is_ours(const char *path, char *found);

/* Both are -1 when nothing is held. */
struct state_dir {
	int fd, lock_fd;
	char path[256]; /* for what people read */
};

/* 0, or -1 after logging why; ends in state_dir_close() either way. */
int state_dir_open(struct state_dir *dir, const char *path);
#define STATE_DIR_WHY_MAX 448
/* Whether at least `min_free` percent of its disk are free; if not, `why` tells an operator so. */
bool
state_dir_has_room(const struct state_dir *dir, unsigned min_free, char why[STATE_DIR_WHY_MAX]);
/* Takes what was never opened. */
void state_dir_close(struct state_dir *dir);

#endif
