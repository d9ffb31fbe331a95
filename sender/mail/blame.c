/*
 * blame.c - mail under work, and mail that ended the process too often.
 *
 * sender:  mail -> [blame] -> routing, or a held row
 *
 * shared/work/poison.h decides whose turn it is. Mail that only waits in the scheduler, thousands
 * as it may be, is not under work. What is to be held keeps its turn until it is: should telling of
 * it be what crashes, nothing else is drawn in.
 */
#include <stddef.h>
#include <stdlib.h>

#include <event2/event.h>

#include "sender/mail/sender_private.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/work/hold.h"

#define AGAIN_S 5

void
mail_mark(struct mail *mail)
{
	if (!mail->marks++)
		poison_resume(mail->sender->poison, &mail->work, mail->envelope->id.data);
}

/* A suspect stays under work while it waits for its turn: it is alone. */
void
mail_unmark(struct mail *mail)
{
	if (!--mail->marks && !mail->work.suspect)
		poison_rest(mail->sender->poison, &mail->work);
}

void
item_mark(struct item *item)
{
	if (item->marked)
		return;
	item->marked = true;
	mail_mark(item->mail);
}

void
item_unmark(struct item *item)
{
	if (!item->marked)
		return;
	item->marked = false;
	mail_unmark(item->mail);
}

static const char harmful[] = "it crashed the sender, for the third time";

static void mail_blame(struct mail *mail);

static void
on_blame_again(evutil_socket_t fd, short what, void *arg)
{
	struct mail *mail = arg;

	(void)fd, (void)what;
	mail->busy--;
	if (mail->lost)
		mail_abandon(mail);
	else
		mail_blame(mail);
}

static void
row_hold(struct mail *mail)
{
	struct item *item = TAILQ_FIRST(&mail->items);

	item_hold(item, harmful);
	item->crashes = 0;
	settle_park(item, 0);
}

static void
on_blamed(void *arg, int err)
{
	const struct timeval pause = { .tv_sec = AGAIN_S };
	struct mail *mail = arg;
	struct sender *sender = mail->sender;

	sender->settling--;
	if (err) {
		event_base_once(
			loop_base(sender->loop), -1, EV_TIMEOUT, on_blame_again, mail, &pause);
		return;
	}
	mail->busy--;
	if (mail->lost)
		mail_abandon(mail);
	else if (mail->row)
		row_hold(mail);
	else
		mail_hold(mail, harmful);
}

/* The event and the notices go before the row, as with mail that the scanner holds. */
static void
mail_blame(struct mail *mail)
{
	struct sender *sender = mail->sender;
	char id[ID_TEXT_SIZE];

	id_format(mail->envelope->id.data, id);
	LOG_ERROR("a message crashes this process and is held", "id", id);
	if (!sender->hold)
		sender->hold = hold_new(sender->loop, sender->queue, sender->config);
	mail->blamed = true;
	mail->busy++;
	sender->settling++;
	hold_tell(sender->hold, mail->envelope, harmful, on_blamed, mail);
}

static struct mail *
mail_of(struct poison_work *work)
{
	return (struct mail *)((char *)work - offsetof(struct mail, work));
}

void
poison_record_begin(struct poison_work *work)
{
	struct mail *mail = mail_of(work);

	if (envelope_must_hold(mail->envelope))
		mail_hold(mail, mail->envelope->signature);
	else if (poison_strikes(mail->sender->poison, work->id) >= POISON_STRIKES)
		mail_blame(mail);
	else
		routing_start(mail);
}

void
poison_row_begin(struct poison_work *work)
{
	struct mail *mail = mail_of(work);
	struct item *item = TAILQ_FIRST(&mail->items);
	const unsigned strikes = poison_strikes(mail->sender->poison, work->id);

	if (item->crashes < strikes)
		item->crashes = strikes;
	if (item->crashes >= POISON_STRIKES)
		mail_blame(mail);
	else
		routing_start(mail);
}
