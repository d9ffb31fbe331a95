/*
 * replies.c - the texts of replies' classes.
 *
 * events ("class") -> [replies] -> the API, the panel
 */
#include "control/trace/replies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/look/json_from.h"
#include "shared/base/date.h"
#include "shared/base/log.h"

enum language { IT, EN, LANGUAGES };
static const char *const languages[LANGUAGES] = { "it", "en" };

/* What the reader can do, and what we do. */
enum you {
	NOTHING,
	CHECK_ADDRESS,
	TELL_OTHERWISE,
	FIX_RECORD,
	CHANGE_CONTENT,
	SEND_SMALLER,
	FORWARD_REPLY,
	SEND_LESS,
	FIX_PROGRAM
};
enum we { RETRY, SLOW_DOWN, OURS, TELL };

/* clang-format off */
static const char *const you_texts[][LANGUAGES] = {
	[NOTHING] = { "Non serve fare nulla.", "Nothing to do." },
	[CHECK_ADDRESS] = { "Verifica l'indirizzo e reinvia.", "Check the address, resend." },
	[TELL_OTHERWISE] = { "Avvisa il destinatario in altro modo.", "Tell the recipient another way." },
	[FIX_RECORD] = { "Correggi il record in Domini (lo fa chi gestisce il DNS).",
		"Fix the record in Domains (who runs the DNS does it)." },
	[CHANGE_CONTENT] = { "Cambia testo, link o allegati e reinvia.", "Change text, links or attachments, resend." },
	[SEND_SMALLER] = { "Invia un file più piccolo o un link.", "Send a smaller file or a link." },
	[FORWARD_REPLY] = { "Inoltra questa risposta a chi gestisce la posta del destinatario.",
		"Forward this reply to who runs the recipient's mail." },
	[SEND_LESS] = { "Togli gli indirizzi errati, riduci gli invii.", "Remove wrong addresses, send less." },
	[FIX_PROGRAM] = { "Correggi il programma che crea il messaggio.", "Fix the program that makes the message." },
};

static const char *const we_texts[][LANGUAGES] = {
	[RETRY] = { "Riproviamo fino al {UNTIL}.", "We retry until {UNTIL}." },
	[SLOW_DOWN] = { "Rallentiamo verso {SITE} e riproviamo.", "We slow down to {SITE} and retry." },
	[OURS] = { "È un problema nostro: teniamo il messaggio, il nostro postmaster ci lavora, parte appena il blocco è tolto.",
		"It is our problem: we keep the message, our postmaster is on it, it leaves as soon as the block is lifted." },
	[TELL] = { "Ti avvisiamo; cambiare IP non serve. Riproviamo fino al {UNTIL}.",
		"We tell you; another IP would not help. We retry until {UNTIL}." },
};

static const char *const ended[LANGUAGES] = { "Abbiamo smesso: il mittente è avvisato.",
	"We stopped: the sender was told." };

static const struct {
	const char *class;
	enum you while_retried, at_the_end;
	enum we we;
	const char *what[LANGUAGES];
} replies[] = {
	{ "bad-mailbox", CHECK_ADDRESS, CHECK_ADDRESS, RETRY,
	  { "L'indirizzo del destinatario non esiste.", "The recipient's address does not exist." } },
	{ "inactive-mailbox", TELL_OTHERWISE, TELL_OTHERWISE, RETRY,
	  { "La casella del destinatario è disattivata.", "The recipient's mailbox is disabled." } },
	{ "quota-issues", TELL_OTHERWISE, TELL_OTHERWISE, RETRY,
	  { "La casella del destinatario è piena.", "The recipient's mailbox is full." } },
	{ "bad-domain", CHECK_ADDRESS, CHECK_ADDRESS, RETRY,
	  { "Il dominio del destinatario non esiste o non riceve posta.",
	    "The recipient's domain does not exist or takes no mail." } },
	{ "dns-failure", NOTHING, FORWARD_REPLY, RETRY,
	  { "Il DNS del dominio del destinatario non risponde.", "The DNS of the recipient's domain does not answer." } },
	{ "greylisted", NOTHING, NOTHING, RETRY,
	  { "Il server del destinatario fa aspettare chi scrive per la prima volta.",
	    "The recipient's server makes first-time senders wait." } },
	{ "rate-limited", NOTHING, NOTHING, SLOW_DOWN,
	  { "{SITE} ci chiede di andare più piano.", "{SITE} asks us to go slower." } },
	{ "recipient-rate", NOTHING, NOTHING, RETRY,
	  { "Quella casella sta ricevendo troppa posta.", "That mailbox is getting too much mail." } },
	{ "ip-reputation", NOTHING, NOTHING, OURS,
	  { "{SITE} in questo momento non si fida di un nostro IP.", "{SITE} does not trust one of our IPs at the moment." } },
	{ "dnsbl", NOTHING, NOTHING, OURS,
	  { "Un nostro IP è in una lista di blocco.", "One of our IPs is on a block list." } },
	{ "ptr-or-helo", NOTHING, NOTHING, OURS,
	  { "{SITE} non accetta il nome di un nostro IP.", "{SITE} does not accept the name of one of our IPs." } },
	{ "domain-reputation", SEND_LESS, SEND_LESS, SLOW_DOWN,
	  { "{SITE} non si fida della posta di {DOMAIN}.", "{SITE} does not trust mail of {DOMAIN}." } },
	{ "auth-spf", FIX_RECORD, FIX_RECORD, TELL,
	  { "Il record SPF di {DOMAIN} non autorizza il nostro servizio.",
	    "The SPF record of {DOMAIN} does not authorise our service." } },
	{ "auth-dkim", FIX_RECORD, FIX_RECORD, TELL,
	  { "La firma DKIM di {DOMAIN} manca o non è valida.", "The DKIM signature of {DOMAIN} is missing or invalid." } },
	{ "auth-dmarc", FIX_RECORD, FIX_RECORD, TELL,
	  { "La regola DMARC di {DOMAIN} fa rifiutare il messaggio.",
	    "The DMARC policy of {DOMAIN} has the message refused." } },
	{ "spam-related", CHANGE_CONTENT, CHANGE_CONTENT, RETRY,
	  { "Il contenuto sembra spam a {SITE}.", "{SITE} takes the content for spam." } },
	{ "content-related", CHANGE_CONTENT, CHANGE_CONTENT, RETRY,
	  { "Un allegato o un link non è ammesso.", "An attachment or a link is not allowed." } },
	{ "virus-related", CHANGE_CONTENT, CHANGE_CONTENT, RETRY,
	  { "{SITE} segnala un virus nel messaggio.", "{SITE} reports a virus in the message." } },
	{ "pec-only", TELL_OTHERWISE, TELL_OTHERWISE, RETRY,
	  { "La casella è PEC: accetta solo posta da PEC.",
	    "The mailbox is certified mail (PEC): it takes mail from PEC only." } },
	{ "too-large", SEND_SMALLER, SEND_SMALLER, RETRY,
	  { "Il messaggio supera il massimo del destinatario.", "The message is over the recipient's maximum." } },
	{ "policy-related", FORWARD_REPLY, FORWARD_REPLY, RETRY,
	  { "Il destinatario ha scelto di non ricevere questa posta.", "The recipient chose not to take this mail." } },
	{ "invalid-sender", FIX_PROGRAM, FIX_PROGRAM, RETRY,
	  { "{SITE} rifiuta il mittente {FROM}.", "{SITE} refuses the sender {FROM}." } },
	{ "relaying-issues", FORWARD_REPLY, FORWARD_REPLY, RETRY,
	  { "Quel server non gestisce la posta del dominio.", "That server does not handle mail for the domain." } },
	{ "no-answer-from-host", NOTHING, FORWARD_REPLY, RETRY,
	  { "Il server del destinatario non risponde.", "The recipient's server does not answer." } },
	{ "bad-connection", NOTHING, FORWARD_REPLY, RETRY,
	  { "Il server del destinatario interrompe la connessione.", "The recipient's server breaks the connection off." } },
	{ "tls-required", FORWARD_REPLY, FORWARD_REPLY, RETRY,
	  { "La connessione cifrata richiesta (TLS, DANE, MTA-STS) non riesce.",
	    "The encryption demanded (TLS, DANE, MTA-STS) fails." } },
	{ "rfc-format", FIX_PROGRAM, FIX_PROGRAM, RETRY,
	  { "Il messaggio è malformato (intestazioni mancanti o doppie).",
	    "The message is malformed (headers missing or doubled)." } },
	{ "routing-errors", FORWARD_REPLY, FORWARD_REPLY, RETRY,
	  { "La posta gira in tondo tra i server del destinatario.",
	    "Mail goes in circles between the recipient's servers." } },
	{ "message-expired", TELL_OTHERWISE, TELL_OTHERWISE, RETRY,
	  { "Nessun esito nel tempo previsto: l'ultima risposta è sotto.", "No success in time: the last reply is below." } },
	{ "other", FORWARD_REPLY, FORWARD_REPLY, RETRY,
	  { "Risposta non riconosciuta: leggi il testo sotto.", "Reply not recognised: read the text below." } },
};

/* What stands where a fact is not known. */
static const char *const unknown_site[LANGUAGES] = { "Il server del destinatario", "The recipient's server" };
static const char *const unknown_domain[LANGUAGES] = { "questo dominio", "this domain" };
static const char *const unknown_time[LANGUAGES] = { "termine previsto", "the time is up" };
/* clang-format on */

static const char *
fact(const char *name, size_t length, enum language language, const struct reply_facts *facts,
	const char *until)
{
	if (length == 4 && memcmp(name, "SITE", 4) == 0)
		return facts->site ? facts->site : unknown_site[language];
	if (length == 6 && memcmp(name, "DOMAIN", 6) == 0)
		return facts->domain ? facts->domain : unknown_domain[language];
	if (length == 4 && memcmp(name, "FROM", 4) == 0)
		return facts->from && *facts->from ? facts->from : "<>";
	return *until ? until : unknown_time[language];
}

/* The text with the facts in the place of {NAMES}. */
static json_t *
filled(const char *text, enum language language, const struct reply_facts *facts)
{
	char until[DATE_SIZE] = "", *out;
	size_t length;
	FILE *stream = xopen_memstream(&out, &length);
	json_t *value;

	if (facts->until_us)
		date_iso(facts->until_us, until);
	while (*text) {
		const size_t plain = strcspn(text, "{"), name = strcspn(text + plain, "}");

		fwrite(text, 1, plain, stream);
		text += plain;
		if (*text) {
			fputs(fact(text + 1, name - 1, language, facts, until), stream);
			text += name + 1;
		}
	}
	xclose_memstream(stream);
	value = json_from_text(out);
	free(out);
	return value;
}

json_t *
reply_meaning(const char *class, const struct reply_facts *facts)
{
	json_t *meaning;
	size_t i = 0;

	while (i < sizeof replies / sizeof *replies && strcmp(replies[i].class, class) != 0)
		i++;
	if (i == sizeof replies / sizeof *replies)
		return json_null();
	meaning = json_object();
	for (unsigned l = 0; l < LANGUAGES; l++) {
		const enum you you = facts->ended ? replies[i].at_the_end
						  : replies[i].while_retried;
		const char *we = facts->ended ? ended[l] : we_texts[replies[i].we][l];

		json_object_set_new(meaning, languages[l],
			json_pack("{s:o, s:s, s:o}", "what",
				filled(replies[i].what[l], (enum language)l, facts), "you",
				you_texts[you][l], "we", filled(we, (enum language)l, facts)));
	}
	return meaning;
}
