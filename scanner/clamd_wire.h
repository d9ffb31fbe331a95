/*
 * clamd_wire.h - one connection to a clamd, in an IDSESSION: numbered commands out, answers in.
 */
#ifndef SCANNER_CLAMD_WIRE_H
#define SCANNER_CLAMD_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/net.h"

struct loop;
struct clamd_wire;

struct clamd_wire_handler {
	/* An answer, "12: stream: OK", without its NUL. The text comes from a remote and is not
	 * checked. */
	void (*answer)(void *arg, const char *text, size_t length);
	/* Little output waits, so more may be added. May be NULL. */
	void (*room)(void *arg);
	/* The connection has ended, and all answers that came were handed over. err 0: the peer
	 * closed it. The owner still has to call clamd_wire_close(). */
	void (*closed)(void *arg, int err);
};

/* Connects and opens the session; NULL with *err_out (negative) when that fails at once. Callbacks
 * never come before this returns. */
struct clamd_wire *clamd_wire_open(struct loop *loop, const struct net_address *address,
	const struct clamd_wire_handler *handler, void *arg, int *err_out);
/* No callback comes after this; may be called inside one. Takes NULL. */
void clamd_wire_close(struct clamd_wire **wire);

/*
 * What is added leaves once the running callbacks are done, so that many small pieces, and many
 * commands, cost one writev(). The session numbers commands from 1 in the order they are added.
 */
void clamd_wire_command(struct clamd_wire *wire, const char *command);
/* A chunk of INSTREAM (clamd_wire_command(wire, "INSTREAM") came before); length 0 adds nothing,
 * since an empty chunk ends the stream. */
void clamd_wire_chunk(struct clamd_wire *wire, const void *data, size_t length);
void clamd_wire_stream_end(struct clamd_wire *wire);
/* Whether the connection was ever made. */
bool clamd_wire_connected(const struct clamd_wire *wire);
/* Whether so much waits to be sent that the owner should wait for room(). */
bool clamd_wire_full(const struct clamd_wire *wire);

#endif
