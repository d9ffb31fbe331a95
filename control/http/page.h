/*
 * page.h - pages of a list, alike for all lists: so many items ("limit") behind a place ("after"),
 * which the page before named as "next".
 *
 * To clients "next" is opaque. "next" names its list and the filters, so that no other list takes
 * it.
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
/* The same for other page sizes. */
bool page_take_of(
	struct exchange *exchange, const char *list, size_t def, size_t max, struct page *page_out);
/* Refuses the request: `after` is no place of the list. */
void page_refuse(struct exchange *exchange);
/* The answer's "next" for a page that ends at `place` (NULL: the list ends there). The caller frees
 * it. */
json_t *page_next(const struct exchange *exchange, const char *list, const char *place);

#endif
