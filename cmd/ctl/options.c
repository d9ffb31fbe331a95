/*
 * options.c - shoutctl's command line: words, and options anywhere between them.
 *
 * An option is known by its full name only: an abbreviation in a script may mean another option, or
 * two, tomorrow.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/log.h"

/* clang-format off */
const struct ctl_known ctl_known[] = {
	/* of every command */
	{ "url",             "URL",                 "where the API is, like https://relay.example:8025" },
	{ "token-file",      "FILE",                "with the token: control.token of its state_dir" },
	{ "ca-file",         "FILE",                "who vouches for its certificate (the system's)" },
	{ "json",            NULL,                  "answers, and what went wrong, as JSON" },
	{ "help",            NULL,                  "this; -h, too" },
	{ "version",         NULL,                  "the version" },
	/* accounts */
	{ "name",            "NAME",                "of the account, for people" },
	{ "contact",         "MAIL",                "where notices about it go" },
	{ "language",        "it|en|both",          "of mails to the contact (both)" },
	{ "plan",            "PLAN",                "one of service.plans: mailboxes, and limits for each; none" },
	{ "host",            "HOST",                "one of service.hosts: where its servers connect to" },
	{ "at",              "PERCENTS",            "of a limit, at which it is told: 80,100; default" },
	{ "mail",            NULL,                  "the contact gets username and password, in two mails" },
	{ "domain",          "DOMAIN",              "a domain; =N behind an account's: its mailboxes" },
	{ "mode",            "credentials|ip",      "how its servers are known (credentials)" },
	{ "ip",              "ADDRESS",             "an address, or a network like 192.0.2.0/24" },
	{ "waiting",         NULL,                  "it counts once it is proved: by a login from it, or a link" },
	{ "owner",           "ACCOUNT",             "the reseller whose account it is; none" },
	{ "reseller",        "N",                   "how many accounts it may own; 0: it is no reseller" },
	{ "pending",         NULL,                  "its mail is refused until a domain is verified, or it is enabled" },
	{ "verified",        NULL,                  "the domain is the account's: it may send from it" },
	{ "policy",          "strict|resent",       "what From may be (resent)" },
	{ "display-address", "refuse|pass",         "a name with another account's address (refuse)" },
	{ "messages-hour",   "N",                   "a limit; 0: none; default: as configured" },
	{ "messages-day",    "N",                   "a limit; 0: none; default: as configured" },
	{ "recipients-hour", "N",                   "a limit; 0: none; default: as configured" },
	{ "recipients-day",  "N",                   "a limit; 0: none; default: as configured" },
	{ "grace",           "14d",                 "how long the old way (14d), or the password before (0), still counts" },
	{ "undo",            NULL,                  "takes back a switch that is under way" },
	{ "extend",          NULL,                  "the old way's time of grace, once" },
	{ "end",             NULL,                  "the old way counts no more, now" },
	{ "wait",            NULL,                  "until it is over" },
	{ "username",        "NAME",                "which of its users" },
	{ "enabled",         "on|off",              "whether the user may log in" },
	{ "sandbox",         "on|off",              "the user's mail is accepted, and goes nowhere" },
	{ "network",         "NETWORK|any",         "the user may be used from there only; several times" },
	{ "deleted",         NULL,                  "those that are deleted, and until when they can be restored" },
	{ "bounce",          NULL,                  "what waits of its mail is refused, too" },
	{ "all",             NULL,                  "all accounts that are not deleted" },
	{ "output",          "FILE",                "where to; - is standard output" },
	{ "force",           NULL,                  "also in the place of a file that is there" },
	{ "replace",         NULL,                  "an account that is here becomes what the file says" },
	{ "now",             NULL,                  "for ever, with no way back; of dkim rotate: also where mail signed by the former key is still on its way" },
	{ "originator",      "MAIL",                "one sender address of the account; <>: the null sender" },
	{ "algorithm",       "NAME",                "rsa-sha256 or ed25519-sha256; several times (rsa-sha256)" },
	{ "label",           "TEXT",                "what it is for" },
	{ "scope",           "read|trace|write",    "what it may; several times" },
	{ "helo",            "NAME",                "the name that its PTR record leads to: said in EHLO" },
	{ "pool",            "POOL",                "whose mail: good, new, suspect, bounce or dedicated:NAME" },
	{ "weight",          "N",                   "how much mail, beside the others of the pool (1)" },
	{ "via",             "URL",                 "the proxy that has it, socks5://USER:PASSWORD@ADDRESS:PORT" },
	{ "warm",            NULL,                  "it is new: little mail at first, more each day" },
	/* selectors: all given options must match */
	{ "id",              "ID",                  "a message; of account test: the test" },
	{ "site",            "SITE",                "as queue list shows it" },
	{ "provider",        "NAME",                "a site, or the end of its hosts' names" },
	{ "account",         "ACCOUNT",             "an account, or its mail" },
	{ "credential",      "USERNAME|ADDRESS",    "what one of its servers sent" },
	{ "egress-ip",       "ADDRESS",             "what leaves by this address" },
	/* events: all given options must match */
	{ "client",          "ADDRESS",             "who connected; also a network like 192.0.2.0/24" },
	{ "from",            "MAIL",                "a sender, or one in the header; <>: none" },
	{ "to",              "MAIL",                "a recipient" },
	{ "event",           "NAME",                "rejected, auth-failed, delivered ...; also several, with commas" },
	{ "since",           "TIME",                "2026-11-24T03:56, 03:56 (UTC), or 10m, 2h, 3d ago" },
	{ "until",           "TIME",                "likewise" },
	{ "follow",          NULL,                  "and what comes, until interrupted" },
	{ "role",            "ROLE",                "of an account: reader, manager, owner; of the operator: support, postmaster, admin" },
	{ "no-second-factor", NULL,                 "the person lost it, and has no recovery code" },
	/* trace: all given options must match */
	{ "recipient",       "MAIL",                "a recipient" },
	{ "sender",          "MAIL",                "the envelope's sender; <>: none" },
	{ "message-id",      "ID",                  "the header's, also one that the relay added" },
	{ "class",           "CLASS",               "of the last reply, like bad-mailbox or greylisted" },
	{ "older",           "TIME",                "accepted before (sender.lifetime ago)" },
	/* lists and commands */
	{ "state",           "STATE",               "of queue list: inbound, ready, attempting, waiting or held; of trace: accepted, released, held, deferred, delivered, bounced, expired or sandboxed" },
	{ "by",              "GROUP",               "provider, site, domain or account (provider)" },
	{ "limit",           "N",                   "so many at most" },
	{ "after",           "PLACE",               "the next page: where the last one ended" },
	{ "raw",             NULL,                  "the bytes as they are" },
	{ "reason",          "TEXT",                "for whoever reads the list" },
	{ "for",             "30m|4h|2d",           "how long" },
	{ "take-over",       NULL,                  "also from another owner, whose accounts go" },
	{ "dry-run",         NULL,                  "says how much mail matches, and does nothing" },
	{ NULL,              NULL,                  NULL },
};
/* clang-format on */

#define KNOWN (sizeof ctl_known / sizeof *ctl_known - 1)
#define FIRST 256 /* getopt_long()'s value for the first option: no character */

void
ctl_error(const struct ctl *ctl, const char *format, ...)
{
	json_t *reply;
	char *text;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		die("out of memory", "vasprintf");
	va_end(args);
	fputs("shoutctl: ", stderr);
	print_clean(stderr, text);
	fputc('\n', stderr);
	if (ctl->json) {
		reply = json_pack("{s:s}", "error", text);
		if (!reply) /* a file's text that is not UTF-8 */
			reply = json_pack("{s:s}", "error", "see standard error");
		print_json(reply);
		json_decref(reply);
	}
	free(text);
}

static int
full(const struct ctl *ctl)
{
	ctl_error(ctl, "too many words");
	return -1;
}

static int
take_word(struct ctl *ctl, const char *word)
{
	if (!*word) {
		ctl_error(ctl, "an empty word means nothing");
		return -1;
	}
	if (ctl->words_count == CTL_VALUES_MAX)
		return full(ctl);
	ctl->words[ctl->words_count++] = word;
	return 0;
}

/* Names the option as it was typed, without its value: a value may be long, or a secret. */
static int
refuse(const struct ctl *ctl, const char *before, const char *typed, const char *behind)
{
	ctl_error(ctl, "%s%.*s %s", before, (int)strcspn(typed, "="), typed, behind);
	return -1;
}

static int
refuse_unknown(const struct ctl *ctl, const char *typed)
{
	return refuse(ctl, "there is no option ", typed, "(see --help)");
}

/* Takes an option, or (no name) the file, with the value that getopt_long() found. */
static int
take_option(struct ctl *ctl, const char *typed, const char *name, const char *value)
{
	const size_t length = strcspn(typed, "=");

	if (name && (strlen(name) + 2 != length || memcmp(typed + 2, name, length - 2) != 0))
		return refuse_unknown(ctl, typed);
	if (value && !*value)
		return refuse(ctl, "", typed, "needs a value");
	if (value && strncmp(value, "--", 2) == 0 && !typed[length])
		return refuse(
			ctl, "", typed, "needs a value (behind a = when the value begins with --)");
	if (!name) {
		if (ctl->file)
			return refuse(ctl, "", typed, "is given twice");
		ctl->file = value;
		return 0;
	}
	if (ctl->options_count == CTL_VALUES_MAX)
		return full(ctl);
	ctl->options[ctl->options_count++] = (struct ctl_option){ name, value };
	return 0;
}

static int
take(struct ctl *ctl, int code, const char *typed)
{
	switch (code) {
	case 1: return take_word(ctl, optarg);
	case ':': return refuse(ctl, "", typed, "needs a value");
	case '?':
		return optopt >= FIRST ? refuse(ctl, "", typed, "takes no value")
				       : refuse_unknown(ctl, typed);
	case 'h': return take_option(ctl, "--help", "help", NULL);
	case 'c': return take_option(ctl, "-c", NULL, optarg);
	default: return take_option(ctl, typed, ctl_known[code - FIRST].name, optarg);
	}
}

/* Other text does not fit JSON, and a selector that lost one of its parts would mean more mail. */
static bool
all_utf8(const struct ctl *ctl, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		json_t *text = json_string(argv[i]);

		if (!text) {
			ctl_error(ctl, "word %d is not UTF-8", i);
			return false;
		}
		json_decref(text);
	}
	return true;
}

int
ctl_parse(struct ctl *ctl, int argc, char **argv)
{
	struct option options[KNOWN + 1] = { 0 };
	int code, at = 1;

	for (size_t i = 0; i < KNOWN; i++)
		options[i] = (struct option){ ctl_known[i].name,
			ctl_known[i].value ? required_argument : no_argument, NULL,
			FIRST + (int)i };
	/* first, since errors in the other options are told in the form that --json says */
	for (int i = 1; i < argc; i++)
		ctl->json = ctl->json || strcmp(argv[i], "--json") == 0;
	if (!all_utf8(ctl, argc, argv))
		return -1;
	opterr = 0;
	/* '-': words come in their places, whatever POSIXLY_CORRECT says. */
	for (; (code = getopt_long(argc, argv, "-:c:h", options, NULL)) != -1; at = optind)
		if (take(ctl, code, argv[at]) < 0)
			return -1;
	for (; optind < argc; optind++) /* behind "--" */
		if (take_word(ctl, argv[optind]) < 0)
			return -1;
	return 0;
}

const char *
ctl_option(const struct ctl *ctl, const char *name)
{
	for (size_t i = 0; i < ctl->options_count; i++)
		if (strcmp(ctl->options[i].name, name) == 0)
			return ctl->options[i].value;
	return NULL;
}

bool
ctl_has(const struct ctl *ctl, const char *name)
{
	for (size_t i = 0; i < ctl->options_count; i++)
		if (strcmp(ctl->options[i].name, name) == 0)
			return true;
	return false;
}

const char *
ctl_listed(const char *options, const char *name)
{
	const size_t length = strlen(name);

	for (const char *at = options; (at = strstr(at, name)); at += length)
		if ((at == options || at[-1] == ' ') && strchr(" !+|", at[length]))
			return at + length;
	return NULL;
}

bool
ctl_marked(const char *listed, char mark)
{
	return listed && memchr(listed, mark, strspn(listed, "!+|"));
}
