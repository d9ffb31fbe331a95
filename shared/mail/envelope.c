/*
 * envelope.c - message ids and the envelope codec.
 *
 * An unpacked envelope lives in an arena: protobuf-c takes its many small pieces from one block,
 * and one free() ends the envelope.
 */
#include "shared/mail/envelope.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/evp.h>

#include "shared/base/container_of.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define RECIPIENTS_A_WEIGHT 50

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

void
id_make(uint8_t id[ID_SIZE])
{
	static _Thread_local uint8_t pool[256];
	static _Thread_local size_t used = sizeof pool;
	uint64_t ms = clock_us() / 1000;

	if (used + 10 > sizeof pool) {
		if (getrandom(pool, sizeof pool, 0) != (ssize_t)sizeof pool)
			die("no random numbers", strerror(errno));
		used = 0;
	}
	for (int i = 0; i < 6; i++)
		id[i] = (uint8_t)(ms >> (40 - 8 * i));
	memcpy(id + 6, pool + used, 10);
	used += 10;
}

void
id_derive(uint8_t id[ID_SIZE], const uint8_t about[ID_SIZE], const char *what, size_t length)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t digest[EVP_MAX_MD_SIZE];

	if (!md || !EVP_DigestInit_ex(md, EVP_sha256(), NULL) ||
		!EVP_DigestUpdate(md, about, ID_SIZE) || !EVP_DigestUpdate(md, what, length) ||
		!EVP_DigestFinal_ex(md, digest, NULL))
		die("cannot hash", "id_derive");
	EVP_MD_CTX_free(md);
	memcpy(id, about, 6);
	memcpy(id + 6, digest, 10);
}

/* 26 digits of 5 bits have room for 130 bits, so the first digit carries only the top 3 of 128. */
void
id_format(const uint8_t id[ID_SIZE], char text[ID_TEXT_SIZE])
{
	unsigned count = 2, bits = 0; /* two leading zero bits */
	size_t out = 0;

	for (size_t i = 0; i < ID_SIZE; i++) {
		bits = bits << 8 | id[i];
		count += 8;
		while (count >= 5) {
			count -= 5;
			text[out++] = alphabet[bits >> count & 31];
		}
	}
	text[out] = '\0';
}

int
id_parse(const char *text, uint8_t id[ID_SIZE])
{
	unsigned bits = 0, count = 0;
	size_t out = 0;

	if (strlen(text) != ID_TEXT_SIZE - 1)
		return -EINVAL;
	for (size_t i = 0; i < ID_TEXT_SIZE - 1; i++) {
		const char *digit = strchr(alphabet, text[i]);

		if (!digit || (i == 0 && digit - alphabet > 7))
			return -EINVAL;
		bits = bits << 5 | (unsigned)(digit - alphabet);
		count += i == 0 ? 3 : 5;
		if (count >= 8) {
			count -= 8;
			id[out++] = (uint8_t)(bits >> count);
		}
	}
	return 0;
}

/* A few blocks that are freed together. The first block is nearly always enough. */
struct arena {
	struct arena *more;
	size_t used, size;
	_Alignas(16) unsigned char bytes[];
};

static struct arena *
arena_new(size_t size)
{
	struct arena *arena = xmalloc(sizeof *arena + size);

	arena->more = NULL;
	arena->used = 0;
	arena->size = size;
	return arena;
}

static void *
arena_alloc(void *data, size_t size)
{
	struct arena *first = data, *arena = first->more ? first->more : first;
	size_t at;

	size = (size + 15) & ~(size_t)15;
	if (size > arena->size - arena->used) {
		arena = arena_new(size + 4096);
		arena->more = first->more;
		first->more = arena;
	}
	at = arena->used;
	arena->used += size;
	return arena->bytes + at;
}

static void
arena_no_free(void *data, void *pointer)
{
	(void)data;
	(void)pointer;
}

/* The message is the first piece that its arena gave out, so its address leads to the arena. */
static void
unpacked_free(void *message)
{
	struct arena *arena, *more;

	if (!message)
		return;
	arena = container_of(message, struct arena, bytes);
	for (; arena; arena = more) {
		more = arena->more;
		free(arena);
	}
}

static void *
unpack(const ProtobufCMessageDescriptor *type, const void *data, size_t size)
{
	struct arena *arena = arena_new(sizeof(Row) + 2 * size + 1024);
	ProtobufCAllocator allocator = { arena_alloc, arena_no_free, arena };
	void *first = arena->bytes, *message;

	message = protobuf_c_message_unpack(type, &allocator, size, data);
	if (!message)
		unpacked_free(first);
	return message;
}

static void *
copy(const ProtobufCMessageDescriptor *type, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *packed = xmalloc(size + 1);
	void *out;

	protobuf_c_message_pack(message, packed);
	out = unpack(type, packed, size);
	free(packed);
	if (!out)
		die("an envelope cannot be read back", type->name);
	return out;
}

/* protobuf-c reads a field numbered 0 when the number is written in several bytes, but cannot read
 * what it then writes for that field. */
static bool
numbered(const ProtobufCMessage *message)
{
	for (unsigned i = 0; i < message->n_unknown_fields; i++)
		if (message->unknown_fields[i].tag == 0)
			return false;
	return true;
}

static bool
envelope_sound(const Envelope *envelope)
{
	for (size_t i = 0; i < envelope->n_recipients; i++)
		if (!numbered(&envelope->recipients[i]->base))
			return false;
	return numbered(&envelope->base) && envelope->id.len == ID_SIZE;
}

Envelope *
envelope_unpack(const void *data, size_t size)
{
	Envelope *envelope = unpack(&envelope__descriptor, data, size);

	if (envelope && !envelope_sound(envelope)) {
		envelope_free(envelope);
		return NULL;
	}
	return envelope;
}

void
envelope_free(Envelope *envelope)
{
	unpacked_free(envelope);
}

Row *
row_unpack(const void *data, size_t size)
{
	Row *row = unpack(&row__descriptor, data, size);

	if (row && (!row->envelope || !numbered(&row->base) || !envelope_sound(row->envelope))) {
		row_free(row);
		return NULL;
	}
	return row;
}

void
row_free(Row *row)
{
	unpacked_free(row);
}

Envelope *
envelope_copy(const Envelope *envelope)
{
	return copy(&envelope__descriptor, &envelope->base);
}

Row *
row_copy(const Row *row)
{
	return copy(&row__descriptor, &row->base);
}

unsigned
recipients_weight(size_t recipients)
{
	return 1 + (unsigned)recipients / RECIPIENTS_A_WEIGHT;
}

const char *
envelope_verdict_name(Envelope__Verdict verdict)
{
	static const char *const names[VERDICTS] = { "none", "clean", "infected", "unscannable",
		"unwanted", "suspicious" };

	return (unsigned)verdict < VERDICTS ? names[verdict] : "none";
}

bool
envelope_must_hold(const Envelope *envelope)
{
	if (*envelope->hold)
		return true;
	switch (envelope->verdict) {
	case ENVELOPE__VERDICT__INFECTED:
	case ENVELOPE__VERDICT__UNSCANNABLE: return true;
	case ENVELOPE__VERDICT__UNWANTED:
	case ENVELOPE__VERDICT__SUSPICIOUS: return !envelope->let_pass;
	default: return false;
	}
}

const char *
envelope_hold_reason(const Envelope *envelope)
{
	return *envelope->hold ? envelope->hold : envelope->signature;
}
