/*
 * sample.c - EICAR, plain and wrapped, for the check of a clamd at start.
 *
 * clamd_check -> [sample]
 *
 * Every byte of the sample is kept one too high. It is read through a volatile pointer, so that no
 * compiler decodes it at build time.
 */
#include "scanner/sample.h"

#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <openssl/evp.h>
#include <zlib.h>

#include "shared/base/log.h"

#define ZERO_BLOCK 65536

static const char shifted[] =
	"Y6P\"Q&ABQ\\5]Q[Y65)Q_*8DD*8~%FJDBS.TUBOEBSE.BOUJWJSVT.UFTU.GJMF\"%I,I+";
_Static_assert(sizeof shifted - 1 == SAMPLE_SIZE, "the sample has its size");

void
sample_plain(char out[SAMPLE_SIZE])
{
	const volatile char *from = shifted;

	for (size_t i = 0; i < SAMPLE_SIZE; i++)
		out[i] = (char)(from[i] - 1);
}

char *
sample_mail(size_t *size_out)
{
	char plain[SAMPLE_SIZE];
	unsigned char encoded[SAMPLE_SIZE * 2];
	char *mail;

	sample_plain(plain);
	EVP_EncodeBlock(encoded, (const unsigned char *)plain, SAMPLE_SIZE);
	mail = xasprintf("From: <postmaster@localhost>\r\n"
			 "Subject: check\r\n"
			 "MIME-Version: 1.0\r\n"
			 "Content-Type: multipart/mixed; boundary=\"shout\"\r\n\r\n"
			 "--shout\r\n"
			 "Content-Type: application/octet-stream; name=\"sample.com\"\r\n"
			 "Content-Disposition: attachment; filename=\"sample.com\"\r\n"
			 "Content-Transfer-Encoding: base64\r\n\r\n"
			 "%s\r\n"
			 "--shout--\r\n",
		(const char *)encoded);
	explicit_bzero(plain, sizeof plain);
	*size_out = strlen(mail);
	return mail;
}

/* A member of a zip file (PKWARE's APPNOTE 4.3): the values of its two headers. */
struct member {
	const char *name;
	unsigned method; /* 0 stored, 8 deflated */
	uint32_t crc, packed, size, offset;
};

static void
put(struct evbuffer *out, unsigned bytes, uint32_t value)
{
	unsigned char little[4];

	for (unsigned i = 0; i < bytes; i++)
		little[i] = (unsigned char)(value >> (8 * i));
	evbuffer_add(out, little, bytes);
}

/* Writes the fields that the local and the central header share, 4.3.7 from "version needed" on. */
static void
put_common(struct evbuffer *out, const struct member *member)
{
	put(out, 2, 20);
	put(out, 2, 0);
	put(out, 2, member->method);
	put(out, 2, 0);      /* 00:00 */
	put(out, 2, 0x5821); /* 2024-01-01 */
	put(out, 4, member->crc);
	put(out, 4, member->packed);
	put(out, 4, member->size);
	put(out, 2, (uint32_t)strlen(member->name));
	put(out, 2, 0);
}

static void
put_local(struct evbuffer *out, const struct member *member)
{
	put(out, 4, 0x04034b50);
	put_common(out, member);
	evbuffer_add(out, member->name, strlen(member->name));
}

static void
put_directory(struct evbuffer *out, const struct member *members, uint32_t count, uint32_t offset)
{
	size_t before = evbuffer_get_length(out);

	for (uint32_t i = 0; i < count; i++) {
		put(out, 4, 0x02014b50);
		put(out, 2, 20);
		put_common(out, &members[i]);
		put(out, 4, 0); /* comment length, disk */
		put(out, 2, 0);
		put(out, 4, 0);
		put(out, 4, members[i].offset);
		evbuffer_add(out, members[i].name, strlen(members[i].name));
	}
	before = evbuffer_get_length(out) - before;
	put(out, 4, 0x06054b50);
	put(out, 4, 0);
	put(out, 2, count);
	put(out, 2, count);
	put(out, 4, (uint32_t)before);
	put(out, 4, offset);
	put(out, 2, 0);
}

/* Compresses by raw deflate and sets the member's sizes and sum. The result is malloc()ed. */
static void *
deflate_member(struct member *member, const void *data, size_t size)
{
	z_stream stream = { 0 };
	uLong space;
	void *packed;

	if (deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		die("cannot compress", "deflateInit2");
	space = deflateBound(&stream, size);
	packed = xmalloc(space);
	stream.next_in = (Bytef *)(uintptr_t)data;
	stream.avail_in = (uInt)size;
	stream.next_out = packed;
	stream.avail_out = (uInt)space;
	if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
		die("cannot compress", "deflate");
	member->method = 8;
	member->crc = (uint32_t)crc32(0, data, (uInt)size);
	member->size = (uint32_t)size;
	member->packed = (uint32_t)stream.total_out;
	deflateEnd(&stream);
	return packed;
}

static void *
take(struct evbuffer *buffer, size_t *size_out)
{
	void *bytes;

	*size_out = evbuffer_get_length(buffer);
	bytes = xmalloc(*size_out);
	evbuffer_remove(buffer, bytes, *size_out);
	return bytes;
}

char *
sample_zip(unsigned layers, size_t *size_out)
{
	struct evbuffer *zip = evbuffer_new();
	char *data = xmalloc(SAMPLE_SIZE);

	if (!zip)
		die("out of memory", "sample_zip");
	sample_plain(data);
	*size_out = SAMPLE_SIZE;
	for (unsigned i = 0; i < layers; i++) {
		struct member member = { .name = i ? "sample.zip" : "sample.com" };
		void *packed = deflate_member(&member, data, *size_out);

		put_local(zip, &member);
		evbuffer_add(zip, packed, member.packed);
		put_directory(zip, &member, 1, (uint32_t)evbuffer_get_length(zip));
		free(packed);
		free(data);
		data = take(zip, size_out);
	}
	evbuffer_free(zip);
	return data;
}

static uint32_t
crc_of_zeros(uint64_t count)
{
	static const unsigned char block[ZERO_BLOCK];
	uLong of_block = crc32(0, block, ZERO_BLOCK), crc = crc32(0, NULL, 0);

	for (; count >= ZERO_BLOCK; count -= ZERO_BLOCK)
		crc = crc32_combine(crc, of_block, ZERO_BLOCK);
	return (uint32_t)crc32(crc, block, (uInt)count);
}

void
sample_large(uint64_t size, struct sample_large *out)
{
	struct evbuffer *buffer = evbuffer_new();
	struct member members[2] = { { .name = "zeros" }, { .name = "sample.com" } };
	char plain[SAMPLE_SIZE];
	void *packed;

	if (!buffer)
		die("out of memory", "sample_large");
	sample_plain(plain);
	out->zeros = size;
	members[0].crc = crc_of_zeros(size);
	members[0].size = members[0].packed = (uint32_t)size;
	put_local(buffer, &members[0]);
	out->head = take(buffer, &out->head_size);

	packed = deflate_member(&members[1], plain, SAMPLE_SIZE);
	members[1].offset = (uint32_t)(out->head_size + size);
	put_local(buffer, &members[1]);
	evbuffer_add(buffer, packed, members[1].packed);
	put_directory(
		buffer, members, 2, members[1].offset + (uint32_t)evbuffer_get_length(buffer));
	out->tail = take(buffer, &out->tail_size);
	free(packed);
	evbuffer_free(buffer);
	explicit_bzero(plain, sizeof plain);
}

void
sample_large_free(struct sample_large *large)
{
	free(large->head);
	free(large->tail);
	*large = (struct sample_large){ 0 };
}
