/*
 * tls_tickets.h - the keys of session tickets (RFC 5077, RFC 8446 4.6.1). The newest key makes
 * tickets; the newest and the one before read them.
 *
 * Whoever has such a key can read the sessions that began with its tickets. So a key is dropped
 * after two turns and never written down. All functions may be called from any loop.
 */
#ifndef SHARED_TLS_TICKETS_H
#define SHARED_TLS_TICKETS_H

#include <openssl/ssl.h>

#define TLS_TICKET_S 3600 /* for how long a session can be resumed, and how often the keys turn */

struct tls_tickets;
struct tls_tickets *tls_tickets_new(void);
/* The context makes its tickets with these keys. The keys have to outlive the context. */
void tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *context);
void tls_tickets_turn(struct tls_tickets *tickets);
void tls_tickets_free(struct tls_tickets **tickets);

#endif
