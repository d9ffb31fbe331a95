/*
 * mail_partition.c - what a partition that comes or goes means for the mail in memory.
 *
 * rows_subscriber -> [mail_partition] -> mail, deferral, attempt
 *
 * When a partition is lost, mail without anything under way leaves memory at once. Mail under way
 * may end, and its writes fail. When the partition comes back before that end, such mail goes on.
 */
#include "sender/mail/mail_partition.h"

#include <stdlib.h>

#include "sender/mail/item.h"
#include "sender/mail/mail_end.h"
#include "sender/mail/pass.h"
#include "sender/mail/sender.h"
#include "sender/schedule/schedule.h"
#include "sender/waiting/deferral.h"

static void
mail_lose(struct mail *mail)
{
	struct item *item;

	if (!mail_under_way(mail)) {
		mail_abandon(mail);
		return;
	}
	mail->lost = true;
	TAILQ_FOREACH (item, &mail->items, link)
		if (item->state == ITEM_WAITING) {
			schedule_remove(mail->sender->schedule, &item->entry);
			item_enter(item, ITEM_NEW);
		}
}

static void
mail_regain(struct mail *mail)
{
	struct item *item, *next;

	if (!mail->lost)
		return;
	mail->lost = false;
	mail->busy++;
	for (item = TAILQ_FIRST(&mail->items); item; item = next) {
		next = TAILQ_NEXT(item, link);
		if (item->state == ITEM_NEW && !item->pending && !mail->first_lookup &&
			!mail->blamed)
			pass_begin(item);
	}
	mail->busy--;
	if (mail->record)
		mail_check(mail);
	else
		mail_free_if_done(mail);
}

/* Calls `fn` for each mail of the partition in memory; `fn` may free that mail. */
static void
mail_each(struct sender *sender, uint32_t partition, void (*fn)(struct mail *mail))
{
	struct mail *mail, *next_mail;
	struct loaded_row **rows;
	size_t count;

	for (mail = TAILQ_FIRST(&sender->arrivals); mail; mail = next_mail) {
		next_mail = TAILQ_NEXT(mail, link);
		if (mail->envelope->partition == partition)
			fn(mail);
	}
	/* a record that has become rows has several items */
	rows = deferral_loaded(sender->deferral, partition, &count);
	for (size_t i = 0; i < count; i++)
		item_of_row(rows[i])->mail->visited = false;
	for (size_t i = 0; i < count; i++) {
		mail = item_of_row(rows[i])->mail;
		if (mail->visited || !item_of_row(rows[i])->row)
			rows[i] = NULL;
		else
			mail->visited = true;
	}
	for (size_t i = 0; i < count; i++)
		if (rows[i])
			fn(item_of_row(rows[i])->mail);
	free(rows);
}

void
mail_lost(struct sender *sender, uint32_t partition)
{
	mail_each(sender, partition, mail_lose);
	deferral_forget(sender->deferral, partition);
}

void
mail_gained(struct sender *sender, uint32_t partition)
{
	deferral_read(sender->deferral, partition);
	mail_each(sender, partition, mail_regain);
}
