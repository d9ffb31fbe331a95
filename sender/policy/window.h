/*
 * window.h - whose the records of mail.ready in hand are, and how long one may stay. Pure.
 *
 * What is in hand waits for look-ups, sites and retries in memory, and makes way for the records
 * behind it by becoming rows: in good time, sooner while the window is nearly full, and soonest
 * when it is full of one account's. So a pile of one account holds nobody up for long, whatever it
 * waits for.
 */
#ifndef SENDER_WINDOW_H
#define SENDER_WINDOW_H

#include <stdint.h>

struct window;

/* `size` is what the window holds, by recipients_weight(). */
struct window *window_new(unsigned size);
/* NULL is fine. */
void window_free(struct window **window);
void window_add(struct window *window, const char *account, unsigned weight);
void window_remove(struct window *window, const char *account, unsigned weight);

/* How long a record of the account waits for all of its look-ups, and then for its end. */
uint64_t window_patience_us(const struct window *window, const char *account);
uint64_t window_age_us(const struct window *window, const char *account);

#endif
