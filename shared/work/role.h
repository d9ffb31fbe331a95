/*
 * role.h - what cmd/shout.c needs of a role. All five functions are called from the main thread.
 *
 * prepare() binds ports and reads keys, while the process has one thread and may still be root;
 * NULL: nothing to do. start() may block for start-up checks. Both return -1 after logging why they
 * fail. reload() takes over changed settings that the role has copied (config_live.h), and reads
 * certificates again. drain() stops taking new work and returns at once. stop() waits for the work
 * in hand, for a bounded time, ends the role's loops and frees.
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
