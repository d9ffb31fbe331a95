/*
 * notice.c - the text of our own mails to customers.
 *
 * scanner (hold) -> [notice] -> mail.ready
 *
 * What the message says of itself was written by whoever sent it, maybe a virus: only its subject,
 * addresses and the signature's name are quoted, cleaned and cut, never a part of its body.
 */
#include "shared/notice.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/date.h"
#include "shared/log.h"
#include "shared/text.h"

#define RECIPIENTS_MAX 10
#define QUOTED_MAX 320

#define DAY_MS (24ull * 3600 * 1000)

/* "  Subject: text", cleaned; nothing when there is no text. */
static void
put_line(FILE *out, const char *name, const char *text)
{
	char clean[QUOTED_MAX + 1] = "";

	if (!text || !*text)
		return;
	text_clean(clean, sizeof clean, 0, text, strlen(text));
	fprintf(out, "  %s: %s\r\n", name, clean);
}

static void
put_message(FILE *out, const struct notice *notice)
{
	const Envelope *about = notice->about;
	char id[ID_TEXT_SIZE], date[DATE_SIZE];

	put_line(out, "Da / From", about->header_from);
	put_line(out, "Mittente / Sender", about->mail_from);
	for (size_t i = 0; i < about->n_recipients && i < RECIPIENTS_MAX; i++)
		put_line(out, "A / To", about->recipients[i]->address);
	if (about->n_recipients > RECIPIENTS_MAX)
		fprintf(out, "  A / To: + %zu\r\n", about->n_recipients - RECIPIENTS_MAX);
	put_line(out, "Oggetto / Subject", about->subject);
	date_format(about->accepted_us, date);
	put_line(out, "Ricevuto / Received", date);
	put_line(out, "Message-ID", about->message_id);
	put_line(out, "Motivo / Reason", about->signature);
	id_format(about->id.data, id);
	put_line(out, "Id", id);
	fputs("\r\n", out);
}

static void
put_header(FILE *out, const struct notice *notice, bool infected)
{
	char id[ID_TEXT_SIZE], date[DATE_SIZE], to[QUOTED_MAX + 1] = "";

	id_format(notice->id, id);
	date_format(notice->now_us, date);
	text_clean(to, sizeof to, 0, notice->to, strlen(notice->to));
	fprintf(out,
		"Date: %s\r\n"
		"From: Postmaster <postmaster@%s>\r\n"
		"To: <%s>\r\n"
		"Message-ID: <%s@%s>\r\n"
		"Subject: %s\r\n"
		"Auto-Submitted: auto-replied\r\n"
		"MIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=utf-8\r\n"
		"Content-Transfer-Encoding: 8bit\r\n"
		"\r\n",
		date, notice->hostname, to, id, notice->hostname,
		infected ? "Messaggio trattenuto: virus trovato / Message held: virus found"
			 : "Messaggio trattenuto: controllo antivirus non possibile / "
			   "Message held: it could not be scanned");
}

static void
put_italian(FILE *out, const struct notice *notice, bool infected, uint64_t days)
{
	fprintf(out, "(English below)\r\n\r\n%s\r\n\r\n",
		infected
			? "Un messaggio inviato tramite il nostro servizio contiene un virus. Il\r\n"
			  "messaggio è trattenuto e nessun destinatario lo ha ricevuto."
			: "Un messaggio inviato tramite il nostro servizio non può essere\r\n"
			  "controllato dall'antivirus. Il messaggio è trattenuto e nessun\r\n"
			  "destinatario lo ha ricevuto.");
	put_message(out, notice);
	fprintf(out,
		"%s\r\n"
		"Se ritenete che si tratti di un errore, scrivete entro %" PRIu64
		" giorni a\r\npostmaster@%s indicando l'Id del messaggio.\r\n\r\n",
		infected ? "Vi preghiamo di controllare il computer da cui è partito."
			 : "Può essere protetto, danneggiato, oppure contenere troppi file "
			   "annidati.",
		days, notice->hostname);
}

static void
put_english(FILE *out, const struct notice *notice, bool infected, uint64_t days)
{
	fprintf(out,
		"--- English ---\r\n\r\n%s\r\n"
		"The message, described above, is held; no recipient has received it.\r\n"
		"%s\r\n"
		"If you think that this is a mistake, write to postmaster@%s\r\n"
		"within %" PRIu64 " days and name the message's Id.\r\n",
		infected ? "A message sent through our service contains a virus."
			 : "A message sent through our service could not be scanned for viruses.",
		infected ? "Please check the computer that sent it."
			 : "It may be encrypted, damaged, or contain too many nested files.",
		notice->hostname, days);
}

char *
notice_held(const struct notice *notice, size_t *size_out)
{
	bool infected = notice->about->verdict == ENVELOPE__VERDICT__INFECTED;
	uint64_t days = (notice->held_lifetime_ms + DAY_MS - 1) / DAY_MS;
	char *text = NULL;
	FILE *out = open_memstream(&text, size_out);

	if (!out)
		die("out of memory", "open_memstream");
	put_header(out, notice, infected);
	put_italian(out, notice, infected, days);
	put_english(out, notice, infected, days);
	if (fclose(out))
		die("out of memory", "open_memstream");
	return text;
}
