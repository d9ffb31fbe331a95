/*
 * static_wants.h - what a browser says of the form and the language of a file that it wants. Pure.
 */
#ifndef CONTROL_STATIC_WANTS_H
#define CONTROL_STATIC_WANTS_H

#include <stdbool.h>

/* Whether the value of Accept-Encoding (NULL: none) takes gzip (RFC 9110 12.5.3). */
bool static_takes_gzip(const char *accept_encoding);
/* Whether the value of If-None-Match (NULL: none) names the tag (RFC 9110 13.1.2, weak comparison).
 */
bool static_tag_matches(const char *if_none_match, const char *tag);
/* "it" or "en": what the value of Cookie names as "language", else the first of both that the value
 * of Accept-Language prefers, else "en". Either may be NULL. */
const char *static_language(const char *cookie, const char *accept_language);

/* Whether the value of Accept (NULL: none) names text/html, as that of a page does that a person
 * opens. */
bool static_wants_page(const char *accept);

#endif
