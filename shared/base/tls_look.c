/*
 * tls_look.c - reads what a certificate's file says: its dates, and whether it has a name. Pure but
 * for reading the file.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "shared/base/tls.h"

int
tls_look(const char *file, const char *host, struct tls_look *out)
{
	FILE *in = fopen(file, "re");
	X509 *certificate = in ? PEM_read_X509(in, NULL, NULL, NULL) : NULL;
	struct tm tm = { 0 };

	if (in)
		fclose(in);
	if (!certificate)
		return -EINVAL;
	*out = (struct tls_look){ .named = X509_check_host(certificate, host, 0, 0, NULL) == 1 };
	if (ASN1_TIME_to_tm(X509_get0_notBefore(certificate), &tm) == 1)
		out->begins_s = (int64_t)timegm(&tm);
	if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) == 1)
		out->ends_s = (int64_t)timegm(&tm);
	X509_free(certificate);
	return 0;
}
