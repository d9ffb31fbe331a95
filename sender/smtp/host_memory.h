/*
 * host_memory.h - what was seen of a mail host lately, each thing for its time, so that the next
 * connection knows. Bounded: a host may be forgotten early, which costs one more try.
 */
#ifndef SENDER_HOST_MEMORY_H
#define SENDER_HOST_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

enum host_fact {
	HOST_NO_PIPELINING, /* an hour: offers PIPELINING, but mixes up replies: go in lock-step */
	HOST_PLAIN,         /* 30 s: TLS was just tried in vain: go without */
	HOST_NEEDS_TLS,     /* an hour: refuses mail in clear text */
	HOST_HAD_TLS,       /* 7 days: TLS came up */
	HOST_TOLD_TLS,      /* 10 minutes: Redis knows of HAD_TLS */
	HOST_FACTS
};

struct host_memory;
struct host_memory *host_memory_new(void);
void host_memory_free(struct host_memory **memory);
/* Notes the fact, for the fact's time. */
void
host_memory_add(struct host_memory *memory, const char *host, enum host_fact fact, uint64_t now_ms);
bool host_memory_has(
	const struct host_memory *memory, const char *host, enum host_fact fact, uint64_t now_ms);
void host_memory_forget(struct host_memory *memory, const char *host, enum host_fact fact);

#endif
