/*
 * window.h - how many records of mail.ready each account has in hand, and how long a record may
 * stay. Pure.
 *
 * Records in hand wait for look-ups, sites and retries in memory. They make way for the records
 * behind them by becoming rows: after a while, sooner while the window is nearly full, and soonest
 * when one account fills it. So one account's pile holds nobody up for long, whatever the pile
 * waits for.
 */
#ifndef SENDER_WINDOW_H
#define SENDER_WINDOW_H

#include <stdint.h>

struct window;

/* `size` is how much fits the window, by recipients_weight(). */
struct window *window_new(unsigned size);
/* Takes NULL. */
void window_free(struct window **window);
void window_add(struct window *window, const char *account, unsigned weight);
void window_remove(struct window *window, const char *account, unsigned weight);

/* How long a record of the account waits for all of its look-ups, and then for its end. */
uint64_t window_patience_us(const struct window *window, const char *account);
uint64_t window_age_us(const struct window *window, const char *account);

#endif
