/*
 * sandbox.h - what a process may still ask of the kernel: what the roles in it need. For a process
 * that has one thread yet, has its ports and its user (privileges.h), and is about to start.
 *
 * Files (Landlock): reading, but not in /home and /root, where only the directories of files that
 * the settings name are open; changing and making nothing but in state_dir; running no program.
 * Calls (seccomp): those of the list in sandbox.c; another one fails with ENOSYS, as on a kernel
 * that lacks it, so that libraries do without.
 */
#ifndef SHARED_SANDBOX_H
#define SHARED_SANDBOX_H

struct config;

/* What roles need beside what all of them do. */
enum sandbox_need {
	SANDBOX_ACCEPT = 1, /* listening */
	SANDBOX_BIND = 2,   /* sockets with an address of their own choice */
	SANDBOX_KEYS = 4,   /* reading certificates and keys */
};

/* For good. What the kernel cannot do is logged, and done without. */
void sandbox_enter(const struct config *config, unsigned needs);

/* sandbox_files.c: the first half of it. */
void sandbox_files(const struct config *config, unsigned needs);

#endif
