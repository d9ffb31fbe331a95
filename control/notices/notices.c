/*
 * notices.c - the texts, and a mail from one of them.
 *
 * api -> [notices] -> notice_text; own_mail -> mail.ready
 *
 * The texts are part of the program; the provider's own take their place. A mail has the null
 * sender, so nobody answers it automatically, and no bounce of it comes back. The mail with a
 * password names neither the account nor its username: whoever reads that one mail cannot log in.
 */
#include "control/notices/notices.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/date.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"
#include "shared/config/config.h"
#include "shared/mail/address.h"
#include "shared/mail/mime.h"
#include "shared/work/own_mail.h"

#define TEXT_MAX (32 * 1024)
#define FRAME "PROVIDER ACCOUNT HOST PANEL SUPPORT WHEN "

static const struct kind {
	const char *key, *path, *names;
	bool bare; /* without the account's name */
} kinds[] = {
	{ "activation", "/connection", FRAME "MODE DOMAINS N NEXT", false },
	{ "username", "/connection", FRAME "USERNAME", false },
	{ "password", NULL, "PROVIDER SUPPORT PASSWORD", true },
	{ "config-credentials", "/guides", FRAME "RECORDS", false },
	{ "config-ip", "/guides", FRAME "RECORDS ADDRESSES", false },
	{ "suspended", "/", FRAME "REASON UNTIL", false },
	{ "resumed", "/", FRAME, false },
	{ "closed", "/privacy", FRAME "UNTIL", false },
	{ "in-force", "/connection", FRAME "MODE OLD GRACE", false },
	{ "grace-ending", "/connection", FRAME "OLD GRACE USED", false },
	{ "address-lapse", "/connection", FRAME "IP STATE UNTIL N", false },
	{ "changed", "/audit", FRAME "CHANGES", false },
	{ "dns", "/domains", FRAME "DOMAIN PROBLEM DNS UNTIL RECORDS", false },
	{ "limit", "/alerts", FRAME "LIMIT PCT USED MAX", false },
	{ "mailboxes", "/domains", FRAME "DOMAIN N M ACTION", false },
	{ "quality", "/bounces", FRAME "PCT N M WINDOW ACTION", false },
	{ "credential-suspended", "/connection", FRAME "LABEL REASON", false },
	{ "delay", "/messages", FRAME "SITE MEANING N UNTIL", false },
	{ "webhook-off", "/integrations", FRAME "URL", false },
	{ "invite", NULL, FRAME "BY LINK", false },
	{ "reset", NULL, FRAME "LINK", false },
	{ "security", "/me", FRAME "LOGIN WHAT IP", false },
};
#define KINDS (sizeof kinds / sizeof *kinds)

static const char *const languages[NOTICE_LANGUAGES] = { "it", "en" };

static const struct {
	const char *language, *key, *text;
} built_in[] = {
#include "control/notices/texts.h"
};

struct notices {
	const struct config *config;
	struct queue *queue;
	FILE *errors;
	bool failed;
	const char *texts[KINDS][NOTICE_LANGUAGES];
	char *own[KINDS][NOTICE_LANGUAGES];
};

/* Texts */

static size_t
kind_index(const char *key)
{
	size_t i = 0;

	while (i < KINDS && strcmp(kinds[i].key, key) != 0)
		i++;
	return i;
}

bool
notice_known(const char *key)
{
	return kind_index(key) < KINDS;
}

const char *
notice_key(const char *key)
{
	return notice_known(key) ? kinds[kind_index(key)].key : NULL;
}

static void
fail(struct notices *notices, const char *path, unsigned line, const char *why)
{
	notices->failed = true;
	if (!notices->errors)
		LOG_ERROR("a text of service.notices cannot be used", "file", path, "error", why);
	else if (line)
		fprintf(notices->errors, "%s:%u: %s\n", path, line, why);
	else
		fprintf(notices->errors, "%s: %s\n", path, why);
}

static char *
read_text(struct notices *notices, const char *path)
{
	char *text = xcalloc(1, TEXT_MAX + 2);
	FILE *file = fopen(path, "re");
	size_t length = 0;

	if (file)
		length = fread(text, 1, TEXT_MAX + 1, file);
	if (!file || ferror(file))
		fail(notices, path, 0, strerror(errno));
	else if (length > TEXT_MAX)
		fail(notices, path, 0, "it is larger than 32 KB");
	else if (strlen(text) != length)
		fail(notices, path, 0, "it holds a NUL");
	if (file)
		fclose(file);
	if (!notices->failed)
		return text;
	free(text);
	return NULL;
}

/* CRLF becomes LF. */
static void
unix_lines(char *text)
{
	char *to = text;

	for (; *text; text++)
		if (*text != '\r' || text[1] != '\n')
			*to++ = *text;
	*to = '\0';
}

static void
take_file(struct notices *notices, enum notice_language language, const char *path, size_t kind)
{
	char why[NOTICE_FAULT_MAX], *text = read_text(notices, path);
	unsigned line;

	if (!text)
		return;
	unix_lines(text);
	line = notice_text_check(text, strlen(text), kinds[kind].names, why);
	if (line)
		fail(notices, path, line, why);
	free(notices->own[kind][language]);
	notices->texts[kind][language] = notices->own[kind][language] = text;
}

/* A file whose name is no mail's would never be used. */
static void
take_directory(struct notices *notices, enum notice_language language)
{
	char *path = xasprintf("%s/%s", notices->config->service.notices, languages[language]);
	DIR *directory = opendir(path);
	struct dirent *entry;

	if (!directory && errno != ENOENT)
		fail(notices, path, 0, strerror(errno));
	while (directory && (entry = readdir(directory))) {
		char *file, *key = xstrdup(entry->d_name), *dot = strrchr(key, '.');

		file = xasprintf("%s/%s", path, entry->d_name);
		if (dot)
			*dot = '\0';
		if (*entry->d_name == '.')
			;
		else if (!dot || strcmp(dot + 1, "txt") != 0 || !notice_known(key))
			fail(notices, file, 0, "no mail has this name");
		else
			take_file(notices, language, file, kind_index(key));
		free(file);
		free(key);
	}
	if (directory)
		closedir(directory);
	free(path);
}

struct notices *
notices_new(const struct config *config, struct queue *queue, FILE *errors)
{
	struct notices *notices = xcalloc(1, sizeof *notices);

	notices->config = config;
	notices->queue = queue;
	notices->errors = errors;
	for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++)
		notices->texts[kind_index(built_in[i].key)][strcmp(built_in[i].language, "it") == 0
				? NOTICE_ITALIAN
				: NOTICE_ENGLISH] = built_in[i].text;
	for (int i = 0; config->service.notices && i < NOTICE_LANGUAGES; i++)
		take_directory(notices, i);
	if (notices->failed)
		notices_free(&notices);
	return notices;
}

void
notices_free(struct notices **notices)
{
	if (!*notices)
		return;
	for (size_t i = 0; i < KINDS; i++)
		for (int j = 0; j < NOTICE_LANGUAGES; j++)
			free((*notices)->own[i][j]);
	free(*notices);
	*notices = NULL;
}

void
notices_reload(struct notices *notices)
{
	struct notices *fresh = notices_new(notices->config, notices->queue, NULL), old = *notices;

	if (!fresh) {
		LOG_ERROR("control: the texts of mails stay as they were", "directory",
			notices->config->service.notices);
		return;
	}
	memcpy(notices->texts, fresh->texts, sizeof fresh->texts);
	memcpy(notices->own, fresh->own, sizeof fresh->own);
	memcpy(fresh->own, old.own, sizeof old.own); /* to be freed */
	notices_free(&fresh);
	LOG_INFO("control: the texts of mails were read again");
}

bool
notices_wanted(const struct notices *notices)
{
	return notices->config->service.name != NULL;
}

/* A mail */

void
notice_when(uint64_t us, char out[DATE_SIZE])
{
	date_iso(us, out);
	out[sizeof "2026-11-24" - 1] = ' ';
	memcpy(out + sizeof "2026-11-24T03:56" - 1, " UTC", sizeof " UTC");
}

struct mail {
	const struct kind *kind;
	const struct notices *notices;
	const char *const *texts;
	const char *to;
	uint64_t when_us;
	char support[ADDRESS_ASCII_MAX];
	uint8_t id[ID_SIZE];
	char *body;
	size_t size;
	notice_cb cb;
	void *arg;
};

/* Where the account's servers connect to. */
static const char *
host_of(const struct config *config, const json_t *account)
{
	const char *host = json_text(account, "host");

	if (host)
		return host;
	return config->service.hosts_count ? config->service.hosts[0] : config->hostname;
}

/* The caller's values, then the frame's. */
static struct notice_value *
all_values(const struct mail *mail, const json_t *account, const struct notice_value *values,
	char when[DATE_SIZE])
{
	const struct config *config = mail->notices->config;
	const struct notice_value frame[] = {
		{ "PROVIDER", { config->service.name }, false },
		{ "ACCOUNT", { json_text(account, "name") }, false },
		{ "HOST", { host_of(config, account) }, false },
		{ "PANEL", { config->service.panel }, false },
		{ "SUPPORT", { mail->support }, false },
		{ "WHEN", { when }, false },
		{ 0 },
	};
	struct notice_value *all;
	size_t count = 0;

	while (values[count].name)
		count++;
	all = xmalloc(sizeof frame + count * sizeof *all);
	memcpy(all, values, count * sizeof *all);
	memcpy(all + count, frame, sizeof frame);
	return all;
}

static void
put_part(FILE *out, const struct mail *mail, enum notice_language language,
	const struct notice_value *values)
{
	static const char *const greeting[] = { "Gentile cliente,", "Dear customer," };
	static const char *const open[] = { "Apri", "Open" };
	const char *panel = mail->notices->config->service.panel;

	fprintf(out, "%s\r\n\r\n", greeting[language]);
	notice_text_body(out, mail->texts[language], language, values);
	if (panel && mail->kind->path)
		fprintf(out, "\r\n%s: %s%s\r\n", open[language], panel, mail->kind->path);
	fputs("\r\n", out);
	notice_text_body(out, mail->kind->bare ? "\n\n{SUPPORT}" : "\n\n{ACCOUNT} - {SUPPORT}",
		language, values);
}

/* Which languages the account gets: `first` to `last`. */
static void
languages_of(const json_t *account, enum notice_language *first, enum notice_language *last)
{
	const char *language = json_text(account, "language");

	*first = language && strcmp(language, "en") == 0 ? NOTICE_ENGLISH : NOTICE_ITALIAN;
	*last = language && strcmp(language, "it") == 0 ? NOTICE_ITALIAN : NOTICE_ENGLISH;
}

static void
put_text(FILE *out, const struct mail *mail, const json_t *account,
	const struct notice_value *values)
{
	enum notice_language first, last;
	char *text = NULL;
	size_t length;
	FILE *to = xopen_memstream(&text, &length);

	languages_of(account, &first, &last);
	if (first != last)
		fputs("(English below)\r\n\r\n", to);
	put_part(to, mail, first, values);
	if (first != last) {
		fputs("\r\n--- English ---\r\n\r\n", to);
		put_part(to, mail, last, values);
	}
	xclose_memstream(to);
	mime_put_text(out, "text/plain", text, length);
	explicit_bzero(text, length);
	free(text);
}

static void
put_subject(FILE *out, const struct mail *mail, const json_t *account,
	const struct notice_value *values)
{
	enum notice_language first, last;
	char *subject = NULL;
	size_t length;
	FILE *to = xopen_memstream(&subject, &length);

	languages_of(account, &first, &last);
	fputs("[Mail Relay] ", to);
	notice_text_subject(to, mail->texts[first], first, values);
	if (first != last) {
		fputs(" / ", to);
		notice_text_subject(to, mail->texts[last], last, values);
	}
	xclose_memstream(to);
	mime_put_field(out, "Subject", subject);
	free(subject);
}

static void
write_mail(struct mail *mail, const json_t *account, const struct notice_value *values)
{
	const struct config *config = mail->notices->config;
	char id[ID_TEXT_SIZE], date[DATE_SIZE], when[DATE_SIZE], ascii[ADDRESS_ASCII_MAX];
	const char *to = address_to_ascii(mail->to, ascii) ? ascii : mail->to;
	struct notice_value *all;
	char *from = xasprintf("postmaster@%s", config->hostname);
	FILE *out = xopen_memstream(&mail->body, &mail->size);

	notice_when(mail->when_us, when);
	all = all_values(mail, account, values, when);
	id_format(mail->id, id);
	date_format(clock_us(), date);
	fprintf(out, "Date: %s\r\n", date);
	mime_put_mailbox(out, "From", config->service.name, from);
	fprintf(out, "To: <%s>\r\nReply-To: <%s>\r\nMessage-ID: <%s@%s>\r\n", to, mail->support, id,
		config->hostname);
	put_subject(out, mail, account, all);
	fputs("Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n", out);
	put_text(out, mail, account, all);
	xclose_memstream(out);
	free(all);
	free(from);
}

static void
on_put(void *arg, int err)
{
	struct mail *mail = arg;

	if (err)
		LOG_WARN("a mail to a customer could not be sent", "mail", mail->kind->key, "error",
			strerror(-err));
	mail->cb(mail->arg, err);
	explicit_bzero(mail->body, mail->size);
	free(mail->body);
	free(mail);
}

/* Who gets the mail; NULL: there is no such mailbox. */
static const char *
mailbox_of(const struct notice *notice)
{
	const char *to = notice->to ? notice->to : json_text(notice->account, "contact");

	return address_is_mailbox(to) ? to : NULL;
}

void
notice_send(struct notices *notices, const struct notice *notice, notice_cb cb, void *arg)
{
	static const struct notice_value none = { 0 };
	const size_t kind = kind_index(notice->key);
	const char *to = mailbox_of(notice);
	struct mail *mail;

	if (!to) {
		cb(arg, -EDESTADDRREQ);
		return;
	}
	mail = xcalloc(1, sizeof *mail);
	*mail = (struct mail){ .kind = &kinds[kind],
		.notices = notices,
		.texts = notices->texts[kind],
		.to = to,
		.when_us = notice->when_us ? notice->when_us : clock_us(),
		.cb = cb,
		.arg = arg };
	snprintf(mail->support, sizeof mail->support, "%s",
		notices->config->service.support ? notices->config->service.support : "");
	if (!*mail->support)
		snprintf(mail->support, sizeof mail->support, "postmaster@%s",
			notices->config->hostname);
	if (notice->id)
		memcpy(mail->id, notice->id, ID_SIZE);
	else
		id_make(mail->id);
	write_mail(mail, notice->account, notice->values ? notice->values : &none);
	own_mail_put(notices->queue, mail->id, to,
		&(struct body){ .data = mail->body, .size = mail->size }, 0, on_put, mail);
}
