/*
 * verdict.h - what an answer of clamd means. Pure.
 */
#ifndef SCANNER_VERDICT_H
#define SCANNER_VERDICT_H

#include <stddef.h>

enum verdict {
	VERDICT_CLEAN,
	VERDICT_INFECTED,
	VERDICT_UNSCANNABLE, /* over a limit: Heuristics.Limits.*, size limit exceeded */
	VERDICT_UNWANTED,    /* PUA.*: potentially unwanted, no virus */
	VERDICT_SUSPICIOUS,  /* Heuristics.*: phishing, macros, encrypted */
	VERDICT_ERROR,       /* clamd could not do it: wait and try again */
};

/* Reads an answer of INSTREAM inside an IDSESSION, "12: stream: Eicar-Test FOUND" without the
 * final NUL. 0 and the request's number, verdict and signature (cleaned, cut); or -EINVAL. */
int verdict_parse(const char *answer, size_t length, unsigned *number_out,
	enum verdict *verdict_out, char *signature, size_t signature_size);

#endif
