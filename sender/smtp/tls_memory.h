/*
 * tls_memory.h - which hosts completed TLS lately, for all senders of the cluster: whoever can cut
 * or change a connection must not get clear text by it where TLS is known to work.
 *
 * Kept by the host's name in Redis (tls:{name}, 7 days), with a copy in host_memory. Without Redis
 * only what this process saw counts. For how long TLS has been failing each process sees for
 * itself, of at most 10,000 hosts, so that after a restart it begins anew.
 */
#ifndef SENDER_TLS_MEMORY_H
#define SENDER_TLS_MEMORY_H

#include <stdint.h>

struct host_memory;
struct redis;
struct tls_memory;

#define TLS_PATIENCE_MS UINT64_C(3600000)

/* Both are borrowed; `redis` may be NULL. */
struct tls_memory *tls_memory_new(struct redis *redis, struct host_memory *hosts);
/* Questions under way stay without an answer. Before redis_free(). */
void tls_memory_free(struct tls_memory **memory);

/* TLS came up, and mail can go through it. `now_ms`: clock_mono_ms(). */
void tls_memory_done(struct tls_memory *memory, const char *host, uint64_t now_ms);

enum tls_lack {
	TLS_LACK_USUAL, /* no TLS within the last 7 days */
	TLS_LACK_NEW,   /* it had TLS, and has been without for less than an hour */
	TLS_LACK_LASTS  /* likewise for an hour or more */
};
/* `since_ms`: the first failure. */
typedef void (*tls_lack_cb)(void *arg, const char *host, enum tls_lack lack, uint64_t since_ms);
/* TLS was broken, refused or not offered. The callback may come before the call returns, or within
 * 200 ms. */
void tls_memory_lacks(
	struct tls_memory *memory, const char *host, uint64_t now_ms, tls_lack_cb cb, void *arg);

#endif
