/*
 * privileges.h - who the process is, and what it may do besides its work: nothing.
 *
 * A process that was started as root binds its ports and reads its keys, and then becomes a user,
 * for good. Whoever it is, also root, it keeps no capability and gains none by a program it would
 * run. All of this is for a process that has one thread yet.
 */
#ifndef SHARED_PRIVILEGES_H
#define SHARED_PRIVILEGES_H

#include <stddef.h>
#include <sys/types.h>

struct identity {
	uid_t uid;
	gid_t gid;
	const char *name; /* of the user; NULL: stay who we are */
};

/*
 * Who `user` and `group` (NULL: the user's own) are; `user` NULL is whoever we are. -1 with `why`
 * in words: root that was not asked for, a name that nobody has, or one that we cannot become.
 * `user` must outlive the result.
 */
int identity_find(
	const char *user, const char *group, struct identity *out, char *why, size_t why_size);

/* Becomes the user with its groups, drops every capability, and forbids new ones and dumps of
 * memory, which holds keys and mail. Dies when it cannot. */
void privileges_drop(const struct identity *identity);

#endif
