/*
 * host_memory.h - what went wrong with a mail host lately, so that the next connection avoids it.
 * Bounded: a host may be forgotten early, which costs one more try.
 */
#ifndef SENDER_HOST_MEMORY_H
#define SENDER_HOST_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

enum host_trouble {
	HOST_BROKEN_TLS = 1,   /* offers STARTTLS, fails the handshake: speak plain */
	HOST_NO_PIPELINING = 2 /* offers PIPELINING, lost a connection by it: go in lock-step */
};

#define HOST_MEMORY_MS (60u * 60 * 1000)

struct host_memory;
struct host_memory *host_memory_new(void);
void host_memory_free(struct host_memory **memory);
void host_memory_add(
	struct host_memory *memory, const char *host, enum host_trouble trouble, uint64_t now_ms);
/* For HOST_MEMORY_MS after the last host_memory_add(). */
bool host_memory_has(const struct host_memory *memory, const char *host, enum host_trouble trouble,
	uint64_t now_ms);

#endif
