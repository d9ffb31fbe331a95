/*
 * sign.c - from a message's bytes to its signatures.
 *
 * scanner -> [sign] -> canon, key
 *
 * The header is kept until it is whole, the body is hashed as it passes. All signatures share the
 * body's hash. The order of h= is that of `signed_fields`; fields of one name are named as often as
 * they are there, and a verifier takes them from the lowest up (RFC 6376 5.4.2).
 */
#include "shared/dkim/sign.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "shared/base/log.h"
#include "shared/dkim/canon.h"
#include "shared/dkim/key.h"
#include "shared/mail/header.h"

/* RFC 6376 5.4.1: what people and programs see, and what a relay on the way does not change. */
static const char *const signed_fields[] = { "From", "Sender", "Reply-To", "Subject", "Date",
	"Message-ID", "To", "Cc", "In-Reply-To", "References", "MIME-Version", "Content-Type",
	"Content-Transfer-Encoding", "Content-ID", "Content-Description", "Resent-From",
	"Resent-Date", "Resent-To", "Resent-Message-ID", "List-Id", "List-Unsubscribe",
	"List-Unsubscribe-Post", "List-Help", "List-Post", "Feedback-ID" };
#define SIGNED_FIELDS (sizeof signed_fields / sizeof *signed_fields)

#define LINE_MAX_SIGNS 72

struct dkim_signing {
	struct canon_body body;
	EVP_MD_CTX *body_hash;
	uint8_t body_digest[DKIM_DIGEST_SIZE];
	char *header;
	size_t size, room;
	struct header_field *fields;
	size_t fields_count;
	bool header_whole, too_large;
};

static void
take_body(void *arg, const char *data, size_t size)
{
	struct dkim_signing *signing = arg;

	if (EVP_DigestUpdate(signing->body_hash, data, size) != 1)
		die("SHA-256 failed", "OpenSSL");
}

struct dkim_signing *
dkim_signing_new(void)
{
	struct dkim_signing *signing = xcalloc(1, sizeof *signing);

	signing->body.take = take_body;
	signing->body.arg = signing;
	signing->body_hash = EVP_MD_CTX_new();
	if (!signing->body_hash || EVP_DigestInit_ex(signing->body_hash, EVP_sha256(), NULL) != 1)
		die("no SHA-256", "OpenSSL");
	return signing;
}

void
dkim_signing_free(struct dkim_signing **signing_ref)
{
	struct dkim_signing *signing = *signing_ref;

	if (!signing)
		return;
	EVP_MD_CTX_free(signing->body_hash);
	free(signing->header);
	free(signing->fields);
	free(signing);
	*signing_ref = NULL;
}

static void
header_add(struct dkim_signing *signing, const char *data, size_t size)
{
	if (signing->size + size > signing->room) {
		signing->room = (signing->size + size) * 2;
		signing->header = xrealloc(signing->header, signing->room);
	}
	memcpy(signing->header + signing->size, data, size);
	signing->size += size;
}

/* Where the body begins in what is kept, behind the empty line; 0: the line is not there yet.
 * `from`: what was looked at before. */
static size_t
body_start(const struct dkim_signing *signing, size_t from)
{
	const char *at = signing->header + (from > 3 ? from - 3 : 0);
	const char *end = signing->header + signing->size;
	const char *found;

	if (signing->size >= 2 && memcmp(signing->header, "\r\n", 2) == 0)
		return 2;
	found = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
	return found ? (size_t)(found - signing->header) + 4 : 0;
}

void
dkim_signing_feed(struct dkim_signing *signing, const char *data, size_t size)
{
	const size_t before = signing->size;
	size_t body;

	if (signing->header_whole) {
		canon_body_feed(&signing->body, data, size);
		return;
	}
	if (signing->too_large || before + size > 2 * DKIM_HEADER_MAX) {
		signing->too_large = true;
		return;
	}
	header_add(signing, data, size);
	body = body_start(signing, before);
	if (!body) {
		signing->too_large = signing->size > DKIM_HEADER_MAX;
		return;
	}
	signing->header_whole = true;
	canon_body_feed(&signing->body, signing->header + body, signing->size - body);
	signing->size = body;
}

static void
take_fields(struct dkim_signing *signing)
{
	struct header_field field;
	size_t at = 0, room = 0;

	free(signing->fields);
	signing->fields = NULL;
	signing->fields_count = 0;
	while (header_next(signing->header, signing->size, &at, &field)) {
		if (signing->fields_count == room) {
			room = room ? 2 * room : 64;
			signing->fields = xrealloc(signing->fields, room * sizeof field);
		}
		signing->fields[signing->fields_count++] = field;
	}
}

/* The fields of this name from the lowest up; at most `max`. */
static size_t
same_fields(const struct dkim_signing *signing, const char *name, const struct header_field **out,
	size_t max)
{
	size_t count = 0;

	for (size_t i = signing->fields_count; i > 0 && count < max; i--)
		if (header_is(&signing->fields[i - 1], name))
			out[count++] = &signing->fields[i - 1];
	return count;
}

int
dkim_signing_end(struct dkim_signing *signing)
{
	const struct header_field *from[2];
	unsigned size;

	canon_body_end(&signing->body);
	if (EVP_DigestFinal_ex(signing->body_hash, signing->body_digest, &size) != 1)
		die("SHA-256 failed", "OpenSSL");
	if (signing->too_large)
		return -EMSGSIZE;
	take_fields(signing);
	return same_fields(signing, "From", from, 2) == 1 ? 0 : -EINVAL;
}

int
dkim_signing_has(const struct dkim_signing *signing, const char *name)
{
	const struct header_field *found[1];

	return (int)same_fields(signing, name, found, 1);
}

void
dkim_signing_add(struct dkim_signing *signing, const char *field, size_t size)
{
	header_add(signing, field, size); /* for the room */
	memmove(signing->header + size, signing->header, signing->size - size);
	memcpy(signing->header, field, size);
	take_fields(signing);
}

/* A list of names that is folded before a line gets too long. */
static void
put_name(FILE *out, const char *name, size_t *column)
{
	const size_t length = strlen(name);

	if (*column && *column + length + 1 > LINE_MAX_SIGNS) {
		fputs(":\r\n\t ", out);
		*column = 0;
	} else if (*column) {
		fputc(':', out);
	}
	fputs(name, out);
	*column += length + 1;
}

static void
put_names(FILE *out, const struct dkim_signing *signing)
{
	const struct header_field *same[DKIM_SAME_MAX];
	size_t column = 0;

	put_name(out, "From", &column); /* the one that is not there */
	for (size_t i = 0; i < SIGNED_FIELDS; i++) {
		const size_t count = same_fields(signing, signed_fields[i], same, DKIM_SAME_MAX);

		for (size_t n = 0; n < count; n++)
			put_name(out, signed_fields[i], &column);
	}
}

static void
put_base64(FILE *out, const uint8_t *data, size_t size)
{
	char *text = dkim_base64(data, size);
	const size_t length = strlen(text);

	for (size_t i = 0; i < length; i += LINE_MAX_SIGNS)
		fprintf(out, "%s%.*s", i ? "\r\n\t " : "", LINE_MAX_SIGNS, text + i);
	free(text);
}

/* The field up to "b=", for the caller to free. */
static char *
unsigned_field(const struct dkim_signing *signing, const struct dkim_by *by, size_t *size_out)
{
	char *text = NULL;
	FILE *out = xopen_memstream(&text, size_out);

	fprintf(out,
		"DKIM-Signature: v=1; a=%s; c=relaxed/relaxed;\r\n"
		"\td=%s; s=%s;\r\n\tt=%llu;\r\n\th=",
		dkim_algorithm_name(dkim_key_algorithm(by->key)), by->domain, by->selector,
		(unsigned long long)by->time_s);
	put_names(out, signing);
	fputs(";\r\n\tbh=", out);
	put_base64(out, signing->body_digest, DKIM_DIGEST_SIZE);
	fputs(";\r\n\tb=", out);
	xclose_memstream(out);
	return text;
}

static void
hash_field(EVP_MD_CTX *hash, const struct header_field *field, bool last)
{
	char *form = xmalloc(field->length + 3);
	size_t size = canon_field(field, form);

	if (last)
		size -= 2; /* RFC 6376 3.7: without its CRLF */
	if (EVP_DigestUpdate(hash, form, size) != 1)
		die("SHA-256 failed", "OpenSSL");
	free(form);
}

/* The hash of the header as signed, ending in the signature's own field (RFC 6376 3.7). */
static void
hash_header(const struct dkim_signing *signing, const char *own, size_t own_size,
	uint8_t digest[DKIM_DIGEST_SIZE])
{
	const struct header_field *same[DKIM_SAME_MAX];
	struct header_field field;
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	size_t at = 0;

	if (!hash || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1)
		die("no SHA-256", "OpenSSL");
	for (size_t i = 0; i < SIGNED_FIELDS; i++) {
		const size_t count = same_fields(signing, signed_fields[i], same, DKIM_SAME_MAX);

		for (size_t n = 0; n < count; n++)
			hash_field(hash, same[n], false);
	}
	header_next(own, own_size, &at, &field);
	hash_field(hash, &field, true);
	if (EVP_DigestFinal_ex(hash, digest, NULL) != 1)
		die("SHA-256 failed", "OpenSSL");
	EVP_MD_CTX_free(hash);
}

char *
dkim_signing_field(const struct dkim_signing *signing, const struct dkim_by *by)
{
	uint8_t digest[DKIM_DIGEST_SIZE], signature[DKIM_SIGNATURE_MAX];
	size_t size, own_size;
	char *own = unsigned_field(signing, by, &own_size), *text = NULL;
	FILE *out;

	hash_header(signing, own, own_size, digest);
	if (dkim_key_sign(by->key, digest, signature, &size)) {
		out = xopen_memstream(&text, &own_size);
		fputs(own, out);
		put_base64(out, signature, size);
		fputs("\r\n", out);
		xclose_memstream(out);
	}
	free(own);
	return text;
}
