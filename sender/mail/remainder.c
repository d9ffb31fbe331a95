/*
 * remainder.c - what is left of a record when a crash came while its rows were being written.
 *
 * sender:  mail.ready (redelivered) -> [remainder] -> mail
 *
 * In a cluster the rows of a message become durable one after the other, so one durable row says
 * nothing about the other rows. But all recipients of a domain are always in one row. So when a row
 * names anybody of a domain, that domain's row has been written: a recipient of the domain who is
 * in no row any more has come to an end.
 *
 * The recipients of all other domains are still the record's. If some of them were delivered before
 * the crash, the ledger knows.
 */
#include "sender/mail/remainder.h"

#include <stdlib.h>
#include <string.h>

#include "sender/mail/item.h"
#include "sender/mail/sender.h"
#include "shared/base/log.h"
#include "shared/mail/envelope.h"
#include "shared/queue/queue.h"

struct written {
	const struct sender *sender;
	char **domains;
	size_t count;
};

static bool
is_written(const struct written *written, const char *domain)
{
	for (size_t i = 0; i < written->count; i++)
		if (!strcmp(written->domains[i], domain))
			return true;
	return false;
}

static void
on_row(void *arg, Row *row)
{
	struct written *written = arg;
	char domain[256];

	for (size_t i = 0; i < row->envelope->n_recipients; i++) {
		recipient_domain(written->sender, row->envelope->recipients[i], domain);
		if (is_written(written, domain))
			continue;
		written->domains = xrealloc(
			written->domains, (written->count + 1) * sizeof *written->domains);
		written->domains[written->count++] = xstrdup(domain);
	}
	row_free(row);
}

Envelope *
remainder_of(const struct sender *sender, const Envelope *envelope)
{
	struct written written = { .sender = sender };
	Envelope remainder = *envelope, *copy = NULL;
	char domain[256];

	rows_of(sender->rows, envelope->id.data, on_row, &written);
	remainder.recipients = xmalloc((envelope->n_recipients + 1) * sizeof *remainder.recipients);
	remainder.n_recipients = 0;
	for (size_t i = 0; i < envelope->n_recipients; i++) {
		recipient_domain(sender, envelope->recipients[i], domain);
		if (!is_written(&written, domain))
			remainder.recipients[remainder.n_recipients++] = envelope->recipients[i];
	}
	if (remainder.n_recipients)
		copy = envelope_copy(&remainder);
	free(remainder.recipients);
	for (size_t i = 0; i < written.count; i++)
		free(written.domains[i]);
	free(written.domains);
	return copy;
}

struct name {
	const char *site;
	bool found;
};

static void
on_name(void *arg, Row *row)
{
	struct name *name = arg;

	name->found = name->found || !strcmp(row->site, name->site);
	row_free(row);
}

bool
remainder_has_row(const struct mail *mail, const char *site)
{
	struct name name = { .site = site };

	rows_of(mail->sender->rows, mail->envelope->id.data, on_name, &name);
	return name.found;
}
