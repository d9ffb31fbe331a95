/*
 * notice.c - the text of our own mails to customers. Pure.
 *
 * hold -> [notice] -> mail.ready
 *
 * The message was written by whoever sent it, maybe by a virus. So a notice quotes only its
 * subject, its addresses and the signature's name, cleaned and cut, and never a part of its body.
 */
#include "shared/work/notice.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/date.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/mail/address.h"
#include "shared/mail/mime.h"

#define RECIPIENTS_MAX 10
#define QUOTED_MAX 320

#define DAY_MS (24ull * 3600 * 1000)

/* Writes "  Subject: text", cleaned. Writes nothing without a text. */
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
	put_line(out, "Motivo / Reason", notice->why ? notice->why : about->signature);
	id_format(about->id.data, id);
	put_line(out, "Id", id);
	fputs("\r\n", out);
}

enum held {
	HELD_INFECTED,
	HELD_UNSCANNABLE,
	HELD_UNWANTED,
	HELD_SUSPICIOUS,
	HELD_HARMFUL,
	HELD_SEVERAL
};

static const struct held_text {
	const char *subject, *italian, *italian_hint, *english, *english_hint;
} texts[] = {
	[HELD_INFECTED] = {
		"Messaggio trattenuto: virus trovato / Message held: virus found",
		"Un messaggio inviato tramite il nostro servizio contiene un virus. Il\r\n"
		"messaggio è trattenuto e nessun destinatario lo ha ricevuto.",
		"Vi preghiamo di controllare il computer da cui è partito.",
		"A message sent through our service contains a virus.\r\n"
		"The message, described above, is held; no recipient has received it.",
		"Please check the computer that sent it.",
	},
	[HELD_UNSCANNABLE] = {
		"Messaggio trattenuto: controllo antivirus non possibile / "
		"Message held: it could not be scanned",
		"Un messaggio inviato tramite il nostro servizio non può essere\r\n"
		"controllato dall'antivirus. Il messaggio è trattenuto e nessun\r\n"
		"destinatario lo ha ricevuto.",
		"Può essere protetto, danneggiato, oppure contenere troppi file annidati.",
		"A message sent through our service could not be scanned for viruses.\r\n"
		"The message, described above, is held; no recipient has received it.",
		"It may be encrypted, damaged, or contain too many nested files.",
	},
	[HELD_UNWANTED] = {
		"Messaggio trattenuto: software indesiderato / Message held: unwanted software",
		"Un messaggio inviato tramite il nostro servizio contiene un programma che\r\n"
		"l'antivirus ritiene potenzialmente indesiderato, ma non un virus. Il\r\n"
		"messaggio è trattenuto e nessun destinatario lo ha ricevuto.",
		"Può essere uno strumento di amministrazione, oppure pubblicità.",
		"A message sent through our service contains a program that the virus\r\n"
		"scanner calls potentially unwanted; this is not a virus.\r\n"
		"The message, described above, is held; no recipient has received it.",
		"It may be a tool for administrators, or show advertisements.",
	},
	[HELD_SUSPICIOUS] = {
		"Messaggio trattenuto: contenuto sospetto / Message held: suspicious content",
		"Un messaggio inviato tramite il nostro servizio è sospetto per l'antivirus,\r\n"
		"che non vi ha trovato alcun virus noto. Il messaggio è trattenuto e nessun\r\n"
		"destinatario lo ha ricevuto.",
		"Può contenere macro, un archivio cifrato, oppure link ingannevoli.",
		"A message sent through our service looks suspicious to the virus scanner,\r\n"
		"which knows no virus in it.\r\n"
		"The message, described above, is held; no recipient has received it.",
		"It may contain macros, an encrypted archive, or misleading links.",
	},
	[HELD_HARMFUL] = {
		"Messaggio trattenuto: errore nell'invio / Message held: error in delivery",
		"Un messaggio inviato tramite il nostro servizio ha causato più volte un\r\n"
		"errore nei nostri sistemi. Il messaggio è trattenuto: i destinatari\r\n"
		"indicati non lo hanno ricevuto.",
		"Il nostro personale ne è informato.",
		"A message sent through our service has caused an error in our systems\r\n"
		"several times. It is held; the recipients named above did not receive it.",
		"Our staff has been informed.",
	},
	[HELD_SEVERAL] = {
		"Messaggi trattenuti / Messages held",
		"Diversi messaggi inviati tramite il nostro servizio sono trattenuti: nessun\r\n"
		"destinatario li ha ricevuti.",
		"Vi preghiamo di controllare i computer da cui sono partiti.",
		"Several messages sent through our service, described above, are held;\r\n"
		"no recipient has received them.",
		"Please check the computers that sent them.",
	},
};

static void
put_header(FILE *out, const struct notice *notice, const struct held_text *text)
{
	char id[ID_TEXT_SIZE], date[DATE_SIZE], ascii[ADDRESS_ASCII_MAX];
	char to[ADDRESS_ASCII_MAX] = "";
	const char *address = address_to_ascii(notice->to, ascii) ? ascii : notice->to;

	id_format(notice->id, id);
	date_format(notice->now_us, date);
	text_clean(to, sizeof to, 0, address, strlen(address));
	fprintf(out,
		"Date: %s\r\n"
		"From: Postmaster <postmaster@%s>\r\n"
		"To: <%s>\r\n"
		"Message-ID: <%s@%s>\r\n"
		"Subject: %s\r\n"
		"Auto-Submitted: auto-replied\r\n"
		"MIME-Version: 1.0\r\n",
		date, notice->hostname, to, id, notice->hostname, text->subject);
}

static void
put_italian(FILE *out, const struct notice *notice, const struct held_text *text, uint64_t days,
	const char *described)
{
	fprintf(out, "(English below)\r\n\r\n%s\r\n\r\n%s", text->italian, described);
	fprintf(out,
		"%s\r\n"
		"Se ritenete che si tratti di un errore, scrivete entro %" PRIu64
		" giorni a\r\npostmaster@%s indicando l'Id del messaggio.\r\n\r\n",
		text->italian_hint, days, notice->hostname);
}

static void
put_english(FILE *out, const struct notice *notice, const struct held_text *text, uint64_t days)
{
	fprintf(out,
		"--- English ---\r\n\r\n%s\r\n"
		"%s\r\n"
		"If you think that this is a mistake, write to postmaster@%s\r\n"
		"within %" PRIu64 " days and name the message's Id.\r\n",
		text->english, text->english_hint, notice->hostname, days);
}

static const struct held_text *
text_for(const struct notice *notice)
{
	if (notice->why)
		return &texts[HELD_HARMFUL];
	switch (notice->about->verdict) {
	case ENVELOPE__VERDICT__INFECTED: return &texts[HELD_INFECTED];
	case ENVELOPE__VERDICT__UNWANTED: return &texts[HELD_UNWANTED];
	case ENVELOPE__VERDICT__SUSPICIOUS: return &texts[HELD_SUSPICIOUS];
	default: return &texts[HELD_UNSCANNABLE];
	}
}

/* Italian, then English. */
static char *
both(const struct notice *notice, const struct held_text *held, const char *described,
	size_t *size_out)
{
	uint64_t days = (notice->held_lifetime_ms + DAY_MS - 1) / DAY_MS;
	char *text = NULL;
	FILE *out = xopen_memstream(&text, size_out);

	put_italian(out, notice, held, days, described);
	put_english(out, notice, held, days);
	xclose_memstream(out);
	return text;
}

char *
notice_entry(const struct notice *notice)
{
	size_t size;
	char *text = NULL;
	FILE *out = xopen_memstream(&text, &size);

	put_message(out, notice);
	xclose_memstream(out);
	return text;
}

static char *
make_mail(const struct notice *notice, const struct held_text *held, const char *described,
	size_t *size_out)
{
	size_t length;
	char *mail = NULL, *text = both(notice, held, described, &length);
	FILE *out = xopen_memstream(&mail, size_out);

	put_header(out, notice, held);
	mime_put_text(out, "text/plain", text, length);
	xclose_memstream(out);
	free(text);
	return mail;
}

char *
notice_held(const struct notice *notice, size_t *size_out)
{
	char *described = notice_entry(notice);
	char *mail = make_mail(notice, text_for(notice), described, size_out);

	free(described);
	return mail;
}

char *
notice_gathered(const struct notice *notice, const char *entries, size_t *size_out)
{
	return make_mail(notice, &texts[HELD_SEVERAL], entries, size_out);
}
