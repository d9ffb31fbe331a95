/*
 * body.h - a message on its way in: in memory up to QUEUE_INLINE_MAX, then in a spill file of the
 * queue's spool directory. The header is read once, when the message is complete or spills.
 */
#ifndef INGRESS_BODY_H
#define INGRESS_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ingress/message/content.h"
#include "shared/queue/records.h"

struct draft {
	char *data;
	size_t size, space;
	size_t trace;    /* bytes of our own fields at the front of data, until it spills */
	uint64_t stored; /* bytes in the spill file */
	int fd;          /* of the spill file, or -1 */
	int err;         /* -EMSGSIZE: the header is too large; else what the disk said */
	bool header_read, spilled;
	char *path; /* of the spill file; its name is the part after the directory */
	const char *name;
	struct content content;
	struct arena *arena; /* borrowed; what content points to */
};

/* Makes a draft ready for its first message. */
void draft_init(struct draft *draft);
/* Starts a message with our trace fields. `name`: for a spill file in `spool`, unique. */
void draft_start(struct draft *draft, struct arena *arena, const char *spool, const char *name,
	const char *trace, size_t trace_length);
/* Room for `size` bytes, to be filled and then added. After an error, added bytes are dropped. */
char *draft_room(struct draft *draft, size_t size);
void draft_add(struct draft *draft, size_t size);
/* The message is complete. 0 and the body to put, or draft->err. The spill file is the caller's
 * then. */
int draft_finish(struct draft *draft, struct body *out);
/* Forgets the message, removes its spill file. Keeps a buffer of reasonable size. */
void draft_discard(struct draft *draft);
/* The queue has taken the spill file over. */
void draft_release(struct draft *draft);
void draft_free(struct draft *draft);

#endif
