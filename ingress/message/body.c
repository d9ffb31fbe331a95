/*
 * body.c - a message on its way in: in memory, or in a spill file once it is large.
 *
 * ingress:  dot -> [body] -> accept -> queue_put
 *
 * Our trace fields come first and the message follows. Its header is edited (content.c) before a
 * byte reaches a file, so a file is written once, from front to back. The file is not synced here:
 * queue_put() makes it durable, or the next start removes it. A client in the middle of a message
 * cannot be answered, so a disk error is kept in `err` until the message ends.
 */
#include "ingress/message/body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/mail/header.h"

#define FIRST_SPACE (16u * 1024)
#define KEPT_SPACE (64u * 1024)
#define WRITE_SIZE (128u * 1024)

void
draft_init(struct draft *draft)
{
	memset(draft, 0, sizeof *draft);
	draft->fd = -1;
}

char *
draft_room(struct draft *draft, size_t size)
{
	size_t need = draft->size + size;

	if (need > draft->space) {
		size_t space = draft->space ? draft->space : FIRST_SPACE;

		while (space < need)
			space *= 2;
		draft->data = xrealloc(draft->data, space);
		draft->space = space;
	}
	return draft->data + draft->size;
}

void
draft_start(struct draft *draft, struct arena *arena, const char *spool, const char *name,
	const char *trace, size_t trace_length)
{
	draft->arena = arena;
	draft->path = arena_get(arena, strlen(spool) + strlen(name) + 2);
	draft->name = stpcpy(stpcpy(draft->path, spool), "/");
	memcpy(draft->path + (draft->name - draft->path), name, strlen(name) + 1);
	memcpy(draft_room(draft, trace_length), trace, trace_length);
	draft->size = draft->trace = trace_length;
}

/*
 * A header is too large when its end is not found within QUEUE_INLINE_MAX bytes, in whatever pieces
 * the message came. HEADER_NAME_MAX bytes of a line suffice to see that the line is no field.
 */
static void
read_header(struct draft *draft)
{
	const size_t size = draft->size - draft->trace;

	draft_room(draft, content_growth(draft->data + draft->trace, size));
	draft->size = draft->trace +
		content_read(draft->data + draft->trace, size, draft->arena, &draft->content);
	draft->header_read = true;
	if (draft->trace + draft->content.header_size + HEADER_NAME_MAX > QUEUE_INLINE_MAX)
		draft->err = -EMSGSIZE;
}

static void
write_out(struct draft *draft)
{
	size_t done = 0;

	while (done < draft->size && !draft->err) {
		ssize_t n = write(draft->fd, draft->data + done, draft->size - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			draft->err = -errno;
	}
	draft->stored += done;
	draft->size = 0;
}

static void
spill(struct draft *draft)
{
	if (!draft->header_read)
		read_header(draft);
	if (draft->err)
		return;
	draft->fd = open(draft->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (draft->fd < 0) {
		draft->err = -errno;
		return;
	}
	draft->spilled = true;
	write_out(draft);
}

void
draft_add(struct draft *draft, size_t size)
{
	if (!draft->err) {
		draft->size += size;
		if (draft->fd < 0 && draft->size > QUEUE_INLINE_MAX)
			spill(draft);
		else if (draft->fd >= 0 && draft->size >= WRITE_SIZE)
			write_out(draft);
	}
	if (draft->err)
		draft->size = 0;
}

int
draft_finish(struct draft *draft, struct body *out)
{
	if (!draft->header_read && !draft->err)
		read_header(draft);
	if (draft->fd < 0 && draft->size > QUEUE_INLINE_MAX && !draft->err)
		spill(draft);
	memset(out, 0, sizeof *out);
	if (draft->fd < 0) {
		out->data = draft->data;
		out->size = draft->size;
		return draft->err;
	}
	write_out(draft);
	if (close(draft->fd) < 0 && !draft->err)
		draft->err = -errno;
	draft->fd = -1;
	out->spill = draft->name;
	out->size = draft->stored;
	return draft->err;
}

void
draft_release(struct draft *draft)
{
	draft->spilled = false;
}

void
draft_discard(struct draft *draft)
{
	if (draft->fd >= 0)
		close(draft->fd);
	if (draft->spilled)
		unlink(draft->path);
	draft->fd = -1;
	draft->spilled = false;
	draft->stored = 0;
	draft->size = draft->trace = 0;
	draft->err = 0;
	draft->header_read = false;
	draft->path = NULL;
	draft->name = NULL;
	if (draft->space > KEPT_SPACE) {
		free(draft->data);
		draft->data = NULL;
		draft->space = 0;
	}
}

void
draft_free(struct draft *draft)
{
	draft_discard(draft);
	free(draft->data);
	draft->data = NULL;
	draft->space = 0;
}
