/*
 * book.h - which mails an account was sent, in relay.config: the entry told/<account>.
 *
 * The book is what keeps a mail from being sent again the same day, whatever process dies and
 * whatever Redis forgets; and operators look at it. Two processes that note a mail of one account
 * at the same moment may lose one of the two lines.
 */
#ifndef CONTROL_BOOK_H
#define CONTROL_BOOK_H

#include <stdint.h>

#include <jansson.h>

struct book;
struct directory;
struct queue;

#define BOOK_MAILS_MAX 64 /* of an account; older ones go */
#define BOOK_OBJECT_MAX 255

struct book *book_new(struct queue *queue, struct directory *directory);
void book_free(struct book **book);

/* A mail is durable. `object`: what it is about, or ""; cut after BOOK_OBJECT_MAX bytes. On the
 * loop. */
void book_note(struct book *book, const char *account, const char *key, const char *object,
	const char *to);
/* When the last mail `key` about `object` went (microseconds); 0: none that is known. */
uint64_t
book_last(const struct book *book, const char *account, const char *key, const char *object);
/* How many mails with an object went since that time. */
unsigned book_count(const struct book *book, const char *account, uint64_t since_us);
/* [{"mail","about","to","at"}], newest first; the caller releases it. */
json_t *book_show(const struct book *book, const char *account);

#endif
