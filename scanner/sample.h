/*
 * sample.h - harmless samples that every virus scanner must alert on, made at run time so that no
 * scanner alerts on this program or its source.
 */
#ifndef SCANNER_SAMPLE_H
#define SCANNER_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#define SAMPLE_SIZE 68 /* of the EICAR test file */

/* Writes the EICAR test file. */
void sample_plain(char out[SAMPLE_SIZE]);

/* Each returns malloc()ed bytes. */
char *sample_mail(size_t *size_out);                 /* a mail with EICAR attached in base64 */
char *sample_zip(unsigned layers, size_t *size_out); /* EICAR in zips inside each other */

/*
 * A zip of about `size` bytes: `head`, then `zeros` zero bytes, then `tail`. EICAR is its last
 * member, so that only a scanner that takes in all of it finds it.
 */
struct sample_large {
	char *head, *tail; /* malloc()ed */
	size_t head_size, tail_size;
	uint64_t zeros;
};
void sample_large(uint64_t size, struct sample_large *out);
void sample_large_free(struct sample_large *large);

#endif
