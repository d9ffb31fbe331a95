/*
 * text.h - makes bytes from outside fit for a log line, a reply or a DSN. Pure.
 */
#ifndef SHARED_TEXT_H
#define SHARED_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the well-formed UTF-8 sequence (RFC 3629) at `text`; 0 when the bytes are none. `left`
 * > 0 bytes may be read. */
size_t utf8_length(const char *text, size_t left);
bool utf8_valid(const char *text, size_t length);
/* How many characters a text in UTF-8 has. */
size_t utf8_count(const char *text);
bool text_is_ascii(const char *text, size_t length);

/* Whether the character at `text`, of `step` bytes (utf8_length()), is a control beyond ASCII: C1
 * (U+0080 to U+009F), which terminals obey, or one that changes the direction of its neighbours
 * (Unicode's Bidi_Control). */
bool text_is_hidden_control(const char *text, size_t step);
bool text_has_hidden_controls(const char *text, size_t length);

/*
 * Appends to the NUL-terminated text in `out` (of `size` bytes, `at` of them used): control
 * characters (C0, DEL, hidden ones) become blanks, bytes that are no UTF-8 become "?". Cut between
 * characters when it does not fit. Returns the new length.
 */
size_t text_clean(char *out, size_t size, size_t at, const char *text, size_t length);

/* ASCII, whatever the locale. */
static inline bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static inline bool
is_white(char c)
{
	return is_blank(c) || c == '\r' || c == '\n';
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline char
to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool
is_alnum(char c)
{
	return is_digit(c) || (to_lower(c) >= 'a' && to_lower(c) <= 'z');
}

static inline bool
is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* Copies the text into `out` of `size` bytes, cut when it does not fit. NULL is "". */
void text_copy(char *out, size_t size, const char *text);

/* For qsort() of an array of texts. */
int text_order(const void *a, const void *b);

/* Whether the (pointer, length) word is among the words of the text, with blanks between. */
bool text_has_word(const char *words, const char *word, size_t length);

/* Whether the (pointer, length) text is `word`, in any case. */
bool text_is(const char *text, size_t length, const char *word);

#endif
