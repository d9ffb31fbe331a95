/*
 * blame.c - mail under work, and whether it has ended the process too often.
 *
 * sender:  mail, pass, item -> [blame] -> poison
 *
 * shared/work/poison.h decides whose turn it is. Mail that only waits in the scheduler is not under
 * work: there may be thousands.
 */
#include "sender/mail/blame.h"

#include "sender/mail/item.h"
#include "sender/mail/sender.h"
#include "shared/work/poison.h"

void
mail_mark(struct mail *mail)
{
	if (!mail->marks++)
		poison_resume(mail->sender->poison, &mail->work, mail->envelope->id.data);
}

/* A suspect stays under work while it waits for its turn: no other mail is under work then. */
void
mail_unmark(struct mail *mail)
{
	if (!--mail->marks && !mail->work.suspect)
		poison_pause(mail->sender->poison, &mail->work);
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

bool
blame_allows(struct mail *mail)
{
	const unsigned strikes = poison_strikes(mail->sender->poison, mail->work.id);
	struct item *item = mail->row ? TAILQ_FIRST(&mail->items) : NULL;

	if (!item)
		return strikes < POISON_STRIKES;
	if (item->crashes < strikes)
		item->crashes = strikes;
	return item->crashes < POISON_STRIKES;
}
