/*
 * sandbox.h - limits what the process may ask of the kernel to what its roles need. Enter it while
 * the process has one thread, has its ports and its user (privileges.h), and is about to start.
 *
 * Files (Landlock): reading everywhere but in /home and /root, where only the directories of files
 * that the settings name are open. Changing and making files in state_dir only. Running no program.
 * Calls (seccomp): the list in sandbox.c. Any other call fails with ENOSYS, as on an older kernel,
 * so that libraries do without it.
 */
#ifndef SHARED_SANDBOX_H
#define SHARED_SANDBOX_H

struct config;

/* What some roles need beside what all roles do. */
enum sandbox_need {
	SANDBOX_ACCEPT = 1, /* listening */
	SANDBOX_BIND = 2,   /* sockets bound to an address of the role's choice */
	SANDBOX_KEYS = 4,   /* reading certificates and keys */
};

/* For good. What this kernel cannot restrict is logged, and stays open. */
void sandbox_enter(const struct config *config, unsigned needs);

/* The first half of sandbox_enter(), in sandbox_files.c: Landlock. */
void sandbox_files(const struct config *config, unsigned needs);

#endif
