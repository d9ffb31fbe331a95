/*
 * tls_tickets.h - the keys of session tickets (RFC 5077, RFC 8446 4.6.1): the newest makes them, it
 * and the one before read them.
 *
 * Whoever gets such a key can read what was said in the sessions that began with its tickets. So
 * none is older than two turns, and none is ever written down. From all loops.
 */
#ifndef SHARED_TLS_TICKETS_H
#define SHARED_TLS_TICKETS_H

#include <openssl/ssl.h>

#define TLS_TICKET_S 3600 /* a session can be resumed for as long; keys turn once in that time */

struct tls_tickets;
struct tls_tickets *tls_tickets_new(void);
/* The context's tickets are made with these keys, which have to outlive it. */
void tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *context);
void tls_tickets_turn(struct tls_tickets *tickets);
void tls_tickets_free(struct tls_tickets **tickets);

#endif
