/*
 * tls_memory.h - which hosts completed TLS lately, for all senders of the cluster. Where TLS is
 * known to work, nobody who cuts or changes a connection may get clear text by that.
 *
 * The memory is kept by host name in Redis (tls:{name}, 7 days), with a copy in host_memory.
 * Without Redis only what this process saw counts. For how long TLS has been failing each process
 * sees for itself, for at most 10,000 hosts, so after a restart that time begins anew.
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
/* Questions under way get no answer. Call it before redis_free(). */
void tls_memory_free(struct tls_memory **memory);

/* TLS came up and works. `now_ms`: clock_mono_ms(). */
void tls_memory_done(struct tls_memory *memory, const char *host, uint64_t now_ms);

enum tls_lack {
	TLS_LACK_USUAL, /* no TLS within the last 7 days */
	TLS_LACK_NEW,   /* had TLS, and has lacked it for less than an hour */
	TLS_LACK_LASTS  /* had TLS, and has lacked it for an hour or more */
};
/* `since_ms`: the first failure. */
typedef void (*tls_lack_cb)(void *arg, const char *host, enum tls_lack lack, uint64_t since_ms);
/* TLS was broken, refused or not offered. The callback comes within 200 ms, maybe before the call
 * returns. */
void tls_memory_lacks(
	struct tls_memory *memory, const char *host, uint64_t now_ms, tls_lack_cb cb, void *arg);

#endif
