/*
 * state_dir.h - a process's directory: made when missing, and nobody else's while it runs.
 */
#ifndef SHARED_STATE_DIR_H
#define SHARED_STATE_DIR_H

#include <stdbool.h>

/* Both are -1 when nothing is held. */
struct state_dir {
	int fd, lock_fd;
};

/* 0, or -1 after logging why; ends in state_dir_close() either way. */
int state_dir_open(struct state_dir *dir, const char *path);
/* Whether at least `min_free` percent of its disk are free. */
bool state_dir_has_room(const struct state_dir *dir, unsigned min_free);
/* Takes what was never opened. */
void state_dir_close(struct state_dir *dir);

#endif
