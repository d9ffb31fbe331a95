/*
 * page.h - one page of a list, the same for all lists: so many ("limit") behind a place ("after"),
 * which is what the page before said for "next".
 *
 * To clients "next" is opaque; it names its list and the filters, so that no other list takes it.
 */
#ifndef CONTROL_PAGE_H
#define CONTROL_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#define PAGE_DEFAULT 100
#define PAGE_MAX 1000

struct exchange;

struct page {
	size_t limit;
	const char *after; /* a place of this list, not checked; NULL: from the beginning */
};

/* Reads the query. False after a reply. */
bool page_take(struct exchange *exchange, const char *list, struct page *page_out);
/* The same, for pages of other sizes. */
bool page_take_of(
	struct exchange *exchange, const char *list, size_t def, size_t max, struct page *page_out);
/* Replies: `after` holds no place of the list. */
void page_refuse(struct exchange *exchange);
/* "next" of the answer, for a page that ends at `place` (NULL: nothing is behind it); to be freed
 * by its owner. */
json_t *page_next(const struct exchange *exchange, const char *list, const char *place);

#endif
