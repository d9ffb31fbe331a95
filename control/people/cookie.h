/*
 * cookie.h - finds one cookie in the field "Cookie" of a request (RFC 6265 4.2.1, 5.4). Pure.
 */
#ifndef CONTROL_COOKIE_H
#define CONTROL_COOKIE_H

#include <stdbool.h>
#include <stddef.h>

/* Writes the value of the cookie `name` (its case counts). False, and "": there is none, it is
 * there twice (a neighbour of ours may have set one), it does not fit into `size` bytes, or it has
 * signs that are not of letters, digits, "-" and "_". `field` NULL: there is no such field. */
bool cookie_find(const char *field, const char *name, char *out, size_t size);

#endif
