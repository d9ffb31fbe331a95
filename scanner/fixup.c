/*
 * fixup.c - the fields a message came without.
 *
 * scanner:  verdict clean -> [fixup] -> mail.ready
 *
 * The body is never rewritten: the missing fields go before it. Owns nothing, cannot fail:
 * addresses and hostname were checked before, and FIXUP_MAX holds the longest of them.
 */
#include "scanner/fixup.h"

#include <stdarg.h>
#include <stdio.h>

#include "shared/base/date.h"
#include "shared/mail/address.h"

static void
append(char *out, size_t *length, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void
append(char *out, size_t *length, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(out + *length, FIXUP_MAX - *length, format, args);
	va_end(args);
	/* A field that does not fit is left out as a whole. */
	if (n > 0 && (size_t)n < FIXUP_MAX - *length)
		*length += (size_t)n;
}

void
fixup_message_id(const Envelope *envelope, const char *hostname, char out[FIXUP_ID_MAX])
{
	char id[ID_TEXT_SIZE];

	id_format(envelope->id.data, id);
	snprintf(out, FIXUP_ID_MAX, "<%s@%s>", id, hostname);
}

size_t
fixup_build(const Envelope *envelope, const char *hostname, char out[FIXUP_MAX])
{
	char date[DATE_SIZE], id[FIXUP_ID_MAX], from[ADDRESS_ASCII_MAX];
	size_t length = 0;

	date_format(envelope->accepted_us, date);
	fixup_message_id(envelope, hostname, id);
	if (envelope->missing & MISSING_DATE)
		append(out, &length, "Date: %s\r\n", date);
	if (envelope->missing & MISSING_MESSAGE_ID)
		append(out, &length, "Message-ID: %s\r\n", id);
	if (!(envelope->missing & MISSING_FROM))
		return length;
	if (*envelope->mail_from)
		append(out, &length, "From: <%s>\r\n",
			address_to_ascii(envelope->mail_from, from) ? from : envelope->mail_from);
	else
		append(out, &length, "From: <MAILER-DAEMON@%s>\r\n", hostname);
	return length;
}

size_t
fixup_alert(const Envelope *envelope, char out[FIXUP_ALERT_MAX])
{
	char name[256];
	size_t n = 0;

	for (const char *at = envelope->signature; *at && n < sizeof name - 1; at++)
		name[n++] = *at > ' ' && *at < 0x7f ? *at : '_';
	name[n] = '\0';
	return (size_t)snprintf(out, FIXUP_ALERT_MAX, ALERT_FIELD ": %s, %s\r\n",
		envelope_verdict_name(envelope->verdict), name);
}
