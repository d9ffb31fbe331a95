/*
 * cmd_data.c - DATA (RFC 5321 4.1.1.4): the quota, then the message's bytes.
 *
 * ingress:  session -> dot -> [cmd_data] -> body, accept
 *
 * A client in the middle of a message cannot be answered before its end. So an error is kept until
 * accept_message() tells it. A client that goes on far beyond the size limit is cut off.
 */
#include "ingress/verb/verb.h"

#include <inttypes.h>

#include "shared/base/log.h"
#include "shared/base/text.h"

#define SLICE (16u * 1024)

static void
start_message(struct session *session)
{
	struct transaction *mail = session->mail;
	char trace[2048];
	size_t length;

	id_make(mail->id);
	id_format(mail->id, mail->id_text);
	length = accept_trace(session, trace, sizeof trace);
	draft_start(&mail->draft, &mail->arena, queue_spool_dir(session->worker->ingress->queue),
		mail->id_text, trace, length);
	dot_start(&mail->dot);
	if (!text_is_ascii(trace, length))
		mail->dot.flags |= DOT_8BIT;
	mail->started_ms = clock_mono_ms();
	session->state = ST_DATA;
	session->in_message = true;
	reply(session, "354 End data with <CR><LF>.<CR><LF>");
}

static void
on_taken(void *arg, unsigned wait_s, const char *which)
{
	struct session *session = session_find(arg);

	if (!session)
		return;
	if (wait_s > 0) {
		refuse(session, REFUSE_QUOTA,
			"451 4.7.1 Your limit of %s is reached, try again in %u s", which, wait_s);
		return;
	}
	session->mail->taken = true;
	if (session_alone(session, "DATA"))
		start_message(session);
}

void
cmd_data(struct session *session, const struct command *command)
{
	struct transaction *mail = session->mail;

	if (!mail || !mail->open)
		refuse(session, REFUSE_ORDER, "503 5.5.1 Say MAIL first");
	else if (mail->envelope.n_recipients == 0)
		refuse(session, REFUSE_ORDER, "503 5.5.1 No valid recipients");
	else if (command->args_length > 0)
		refuse(session, REFUSE_SYNTAX, "501 5.5.4 DATA takes no parameter");
	else
		limits_take(session->worker->limits, mail->account, &mail->user,
			(unsigned)mail->envelope.n_recipients, on_taken, session_arg(session));
}

static void
add_bytes(struct transaction *mail, size_t size, uint64_t limit)
{
	mail->received += size;
	if (mail->received > limit && !mail->too_big) {
		mail->too_big = true;
		draft_discard(&mail->draft);
	}
	draft_add(&mail->draft, mail->too_big ? 0 : size);
}

size_t
data_input(struct session *session, const char *data, size_t size)
{
	uint64_t limit = session->worker->ingress->config->ingress.message_size_limit;
	struct transaction *mail = session->mail;
	size_t slice = size < SLICE ? size : SLICE, taken, out_size;
	bool ended;
	char *out = draft_room(&mail->draft, 2 * slice + 2);

	taken = dot_feed(&mail->dot, data, slice, out, &out_size, &ended);
	add_bytes(mail, out_size, limit);
	if (ended) {
		session->state = ST_COMMAND;
		session->busy = true;
		accept_message(session);
	} else if (mail->received > 2 * limit + SLICE) {
		refuse_end(session, REFUSE_SIZE, "552 5.3.4 Larger than %" PRIu64 " bytes", limit);
	}
	return taken;
}
