/*
 * queue_fake.h - a queue behind queue_backend.h for tests of what uses a queue: it counts and keeps
 * what it is asked for, and answers as the test says. There is one, for one thread.
 */
#ifndef TESTS_UNIT_QUEUE_FAKE_H
#define TESTS_UNIT_QUEUE_FAKE_H

#include "shared/queue/queue_backend.h"

#define FAKE_WAITING_MAX 64
#define FAKE_ROWS_MAX 8

enum op { OP_PUT, OP_DEFER, OP_ROW_PUT, OP_ROW_REMOVE, OP_EVENT, OP_CONFIG, OP_BODY, OPS };

/* After the next `after` calls, `times` calls are answered with `err`. */
struct fake_fault {
	int err;
	unsigned after, times;
};

struct fake_call {
	enum op kind;
	char *key, *text; /* the entry, the event or the body put; a row's site is a text */
	queue_cb cb;
	void *arg;
};

struct queue_fake {
	struct queue_ops ops; /* a test may set its own */
	struct queue queue;
	struct rows rows;
	struct record record;

	/* Set by the test. */
	bool late[OPS]; /* answered by queue_fake_answer(); a body at the loop's next turn */
	struct fake_fault fault[OPS];
	void (*on_call)(enum op kind);                 /* before the call is answered */
	void (*on_done)(const struct fake_call *call); /* before it is answered with 0 */
	const char *body;                              /* of every message */
	const char *readable_site; /* only its rows are read; NULL: all sites' */

	/* Looked at by the test. */
	unsigned calls[OPS], done[OPS];
	char *last[OPS];              /* text of the last call */
	enum event_class class;       /* of the last event */
	const Envelope *put_envelope; /* of the last put, borrowed until its answer */
	struct body put_body;
	uint64_t read_end; /* of the last read of a body */
	unsigned finished;
	size_t deferred; /* rows of the last queue_defer() */
	Row *stored[FAKE_ROWS_MAX];
	size_t stored_count;
	struct fake_call waiting[FAKE_WAITING_MAX]; /* for queue_fake_answer() */
	size_t waiting_count;
	void (*on_entry)(void *arg, const char *key, const char *json); /* the subscriber's */
	void *on_entry_arg;
};
extern struct queue_fake fake;

/* Forgets everything. */
void queue_fake_reset(void);
/* Answers the call that has waited longest. False: none waits. */
bool queue_fake_answer(int err);
/* Adds the row, or replaces that of the same message and site. */
void queue_fake_store(const Row *row);

#endif
