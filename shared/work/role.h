/*
 * role.h - what cmd/shout.c needs of a role. prepare() (NULL: nothing to do) binds ports and reads
 * keys, while the process may still be root and has one thread. start() may block for start-up
 * checks; it logs why it fails and returns -1, as prepare() does. drain() stops taking new work and
 * returns at once; stop() waits for the work in hand (bounded), ends the role's loops and frees.
 * reload() takes over what has changed in the configuration (config_live.h) and was copied from it,
 * and reads certificates again. All five are called from the main thread.
 */
#ifndef SHARED_ROLE_H
#define SHARED_ROLE_H

struct config;
struct queue;

struct role {
	const char *name;
	unsigned needs; /* of enum sandbox_need */
	int (*prepare)(const struct config *config);
	int (*start)(const struct config *config, struct queue *queue);
	void (*drain)(void);
	void (*stop)(void);
	void (*reload)(void);
};

extern const struct role ingress_role, scanner_role, sender_role, control_role;

#endif
