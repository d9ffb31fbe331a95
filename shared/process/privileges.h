/*
 * privileges.h - the user that the process becomes, and the rights that the process gives up.
 *
 * A process that was started as root binds its ports, reads its keys and becomes a user, for good.
 * Whoever the user is, also root, the process keeps no capability, and gains none by running a
 * program. Call these functions while the process has one thread.
 */
#ifndef SHARED_PRIVILEGES_H
#define SHARED_PRIVILEGES_H

#include <stddef.h>
#include <sys/types.h>

struct identity {
	uid_t uid;
	gid_t gid;
	const char *name; /* of the user; NULL: the process stays who it is */
};

/*
 * Looks up `user` and `group` (NULL: the user's own). `user` NULL is the present user. -1 with
 * `why` in words: root without being asked for, a name that nobody has, or a user that we cannot
 * become. `user` must outlive the result.
 */
int identity_find(
	const char *user, const char *group, struct identity *out, char *why, size_t why_size);

/* Takes up the right to bind ports below 1024 where it is granted but not in effect, as by the
 * permitted capability of an image's program file. Otherwise does nothing. */
void privileges_take_up(void);

/* Becomes the user with its groups, drops every capability, and forbids new ones. Forbids dumps of
 * memory, which has keys and mail. Dies when any of it fails. */
void privileges_drop(const struct identity *identity);

#endif
