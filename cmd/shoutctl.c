/*
 * shoutctl.c - the operator's command line, over the same API as everything else.
 *
 * Exits 0 when it is done, 1 when it was refused or nobody answers, 2 on a wrong command line; what
 * is wrong goes to standard error and, with --json, to standard output as {"error": ...}.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/config.h"
#include "shared/log.h"

#define PAGE_MAX 1000ul /* rows of one request */
#define DEFAULT_FILE "/etc/shout/shout.yaml"

static const char usage[] =
	"usage: shoutctl [-c FILE] [--json] COMMAND\n"
	"\n"
	"  account add --name NAME --contact MAIL --domain DOMAIN[=MAILBOXES]...\n"
	"              [--mode credentials|ip] [--ip ADDRESS]... [--verified]\n"
	"              [--policy strict|resent] [LIMITS]\n"
	"  account list [--limit N] [--after ACCOUNT]\n"
	"  account show|disable|enable ACCOUNT\n"
	"  account password ACCOUNT [--username NAME]    a new one, shown once\n"
	"  account change ACCOUNT [--name] [--contact] [--policy] [LIMITS]\n"
	"  account add-domain ACCOUNT --domain DOMAIN[=MAILBOXES] [--verified]\n"
	"  account remove-domain ACCOUNT --domain DOMAIN\n"
	"  account add-address|remove-address ACCOUNT --ip ADDRESS\n"
	"  account add-user ACCOUNT\n"
	"  account remove-user ACCOUNT --username NAME\n"
	"      LIMITS: --messages-hour --messages-day --recipients-hour --recipients-day N\n"
	"\n"
	"  queue list [--id ID] [SELECTOR] [--state waiting|held] [--limit N] [--after NEXT]\n"
	"  queue show ID\n"
	"  queue retry|bounce|release [ID] [SELECTOR]    what waits now; all that is given must match\n"
	"  queue bad [--limit N] [--after KEY]           what could not be read, set aside\n"
	"  queue bad show KEY [--raw]                    its bytes: as a dump, or as they are\n"
	"  queue bad remove KEY                          for ever: save it first\n"
	"\n"
	"  suspend SELECTOR [--reason TEXT] [--for 4h]   what matches waits, now and later\n"
	"  resume SELECTOR                               the same one as suspended\n"
	"  suspensions                                   what is suspended\n"
	"      SELECTOR: --site SITE --provider NAME|MX-SUFFIX --account ACCOUNT\n"
	"                --credential USERNAME|ADDRESS --domain DOMAIN --egress-ip ADDRESS\n"
	"\n"
	"  why ID|MESSAGE-ID|ADDRESS [--limit N]         what became of a message\n"
	"  rebuild                                       write the accounts into Redis anew\n"
	"\n"
	"  -c FILE   settings (default " DEFAULT_FILE ")     --help\n";

/* The queue */

/* The page behind `before` (NULL: the first), of up to `limit` rows. */
static json_t *
queue_page(const struct ctl *ctl, const json_t *before, unsigned long limit)
{
	static const char *const names[] = { "id", "site", "provider", "account", "credential",
		"domain", "state", NULL };
	const char *after = before ? json_string_value(json_object_get(before, "next"))
				   : ctl_option(ctl, "after");
	const char *egress = ctl_option(ctl, "egress-ip");
	char *uri = ctl_query(ctl, "queue", names), *encoded = ctl_encode(after ? after : "");
	char *egress_encoded = ctl_encode(egress ? egress : "");
	char *path = xasprintf("%s%climit=%lu%s%s%s%s", uri, strchr(uri, '?') ? '&' : '?',
		limit < PAGE_MAX ? limit : PAGE_MAX, after ? "&after=" : "", encoded,
		egress ? "&egress_ip=" : "", egress_encoded);
	json_t *page = ctl_request(ctl, "GET", path, NULL);

	free(uri);
	free(encoded);
	free(egress_encoded);
	free(path);
	return page;
}

/* Takes the page; a first page that could not count all knows no total. */
static void
queue_join(json_t *all, json_t *page)
{
	json_array_extend(json_object_get(all, "rows"), json_object_get(page, "rows"));
	json_object_set(all, "next", json_object_get(page, "next"));
	json_decref(page);
}

static int
queue_list(const struct ctl *ctl)
{
	const char *limit_text = ctl_option(ctl, "limit");
	char *end = NULL;
	const unsigned long limit = limit_text ? strtoul(limit_text, &end, 10) : 100;
	json_t *all = NULL, *rows = NULL, *page;

	if (limit_text && (!isdigit((unsigned char)*limit_text) || *end)) {
		ctl_error(ctl, "--limit takes a number");
		return CTL_USAGE;
	}
	do {
		page = queue_page(ctl, all, limit - json_array_size(rows));
		if (!page) {
			json_decref(all);
			return CTL_FAILED;
		}
		if (!all)
			rows = json_object_get(all = page, "rows");
		else
			queue_join(all, page);
	} while (json_array_size(rows) < limit && !json_is_null(json_object_get(all, "next")));
	if (ctl->json)
		print_json(all);
	else
		print_queue(all);
	json_decref(all);
	return CTL_OK;
}

static int
queue_show(const struct ctl *ctl)
{
	char *id = ctl_encode(ctl->words[2]), *path = xasprintf("queue/%s", id);

	free(id);
	return ctl_ask(ctl, "GET", path, NULL, print_message);
}

static void
print_removed(const json_t *reply)
{
	print_field("Removed", json_string_value(json_object_get(reply, "removed")));
}

static int
queue_bad(const struct ctl *ctl)
{
	static const char *const names[] = { "limit", "after", NULL };
	const char *verb = ctl->words[2];
	char *key, *path;

	if (ctl->words_count == 2)
		return ctl_ask(
			ctl, "GET", ctl_query(ctl, "queue/bad", names), NULL, print_bad_list);
	if (ctl->words_count != 4 || (strcmp(verb, "show") != 0 && strcmp(verb, "remove") != 0)) {
		ctl_error(ctl, "queue bad, queue bad show KEY, queue bad remove KEY");
		return CTL_USAGE;
	}
	key = ctl_encode(ctl->words[3]);
	path = xasprintf("queue/bad/%s", key);
	free(key);
	if (strcmp(verb, "remove") == 0)
		return ctl_ask(ctl, "DELETE", path, NULL, print_removed);
	return ctl_ask(ctl, "GET", path, NULL, ctl_has(ctl, "raw") ? print_bad_raw : print_bad);
}

/* Selectors: by option, and (a rule's) the message named as a word. */
static const char *const selector_options[][2] = {
	{"id",          "id"              },
        { "site",       "site"            },
        { "provider",   "provider"        },
        { "account",    "account"         },
	{ "credential", "credential"      },
        { "domain",     "recipient_domain"},
	{ "egress-ip",  "egress_ip"       }
};

static json_t *
selector_of(const struct ctl *ctl)
{
	json_t *selector = json_object();

	for (size_t i = 0; i < sizeof selector_options / sizeof *selector_options; i++) {
		const char *value = ctl_option(ctl, selector_options[i][0]);

		if (value)
			json_object_set_new(selector, selector_options[i][1], json_string(value));
	}
	return selector;
}

static const char *
who(void)
{
	const char *by = getenv("SUDO_USER") ? getenv("SUDO_USER") : getenv("USER");

	return by ? by : "operator";
}

static void
print_rule(const json_t *reply)
{
	const json_t *entry = json_object_get(reply, "entry");
	char *selector = print_selector(json_object_get(entry, "selector"));

	printf("%s %s (rule %s)\n", json_string_value(json_object_get(entry, "action")), selector,
		json_string_value(json_object_get(reply, "rule")));
	free(selector);
}

static int
queue_rule(const struct ctl *ctl)
{
	json_t *selector = selector_of(ctl);

	if (ctl->words_count > 2)
		json_object_set_new(selector, "id", json_string(ctl->words[2]));
	return ctl_ask(ctl, "POST", xstrdup("rules"),
		json_pack("{s:s, s:o, s:s}", "action", ctl->words[1], "selector", selector, "by",
			who()),
		print_rule);
}

static void
print_suspended(const json_t *reply)
{
	const json_t *suspended = json_object_get(reply, "suspended");
	char *selector = print_selector(json_object_get(
		suspended ? suspended : json_object_get(reply, "resumed"), "selector"));

	printf("%s %s\n", suspended ? "suspended" : "resumed", selector);
	free(selector);
}

static int
suspend(const struct ctl *ctl)
{
	const char *for_text = ctl_option(ctl, "for");
	uint64_t ms = 0;
	json_t *body;

	if (for_text && (config_duration(for_text, &ms) < 0 || ms < 1000)) {
		ctl_error(ctl, "--for takes a duration, like 30m, 4h or 2d");
		return CTL_USAGE;
	}
	body = json_pack("{s:o, s:s}", "selector", selector_of(ctl), "by", who());
	ctl_set(ctl, body, "reason");
	if (for_text)
		json_object_set_new(body, "seconds", json_integer((json_int_t)(ms / 1000)));
	return ctl_ask(ctl, "POST", xstrdup("suspensions"), body, print_suspended);
}

static int
resume(const struct ctl *ctl)
{
	char *uri = xstrdup("suspensions"), *longer, *encoded;
	json_t *selector = selector_of(ctl), *value;
	const char *key;
	char separator = '?';

	json_object_foreach(selector, key, value)
	{
		encoded = ctl_encode(json_string_value(value));
		longer = xasprintf("%s%c%s=%s", uri, separator, key, encoded);
		free(encoded);
		free(uri);
		uri = longer;
		separator = '&';
	}
	json_decref(selector);
	return ctl_ask(ctl, "DELETE", uri, NULL, print_suspended);
}

static int
suspensions(const struct ctl *ctl)
{
	return ctl_ask(ctl, "GET", xstrdup("suspensions"), NULL, print_suspensions);
}

static int
why(const struct ctl *ctl)
{
	char *query = ctl_encode(ctl->words[1]);
	char *limit = ctl_encode(ctl_option(ctl, "limit") ? ctl_option(ctl, "limit") : "10");
	char *path = xasprintf("why?q=%s&limit=%s", query, limit);

	free(query);
	free(limit);
	return ctl_ask(ctl, "GET", path, NULL, print_why);
}

static void
print_rebuilt(const json_t *reply)
{
	printf("%" JSON_INTEGER_FORMAT " entries written\n",
		json_integer_value(json_object_get(reply, "entries")));
}

static int
rebuild(const struct ctl *ctl)
{
	return ctl_ask(ctl, "POST", xstrdup("rebuild"), NULL, print_rebuilt);
}

/* The table of commands: words, further words (least, most), options, one that must be there. */

#define LIMIT_OPTIONS "messages-hour", "messages-day", "recipients-hour", "recipients-day"
#define SELECTOR_OPTIONS "site", "provider", "account", "credential", "domain", "egress-ip"
#define OPTIONS_MAX 16

static const struct command {
	const char *noun, *verb;
	size_t least, most;
	const char *must;
	int (*run)(const struct ctl *ctl);
	const char *options[OPTIONS_MAX];
} commands[] = {
	{"account",      "add",            0, 0, "domain",   account_add,
         { "name", "contact", "domain", "mode", "ip", "verified", "policy",
			LIMIT_OPTIONS }											 },
	{ "account",     "list",           0, 0, NULL,       account_list,           { "limit", "after" }                       },
	{ "account",     "show",           1, 1, NULL,       account_show,           { NULL }                                   },
	{ "account",     "disable",        1, 1, NULL,       account_status,         { NULL }                                   },
	{ "account",     "enable",         1, 1, NULL,       account_status,         { NULL }                                   },
	{ "account",     "password",       1, 1, NULL,       account_password,       { "username" }                             },
	{ "account",     "change",         1, 1, NULL,       account_change,
         { "name", "contact", "policy", LIMIT_OPTIONS }									 },
	{ "account",     "add-domain",     1, 1, "domain",   account_add_domain,     { "domain", "verified" }                   },
	{ "account",     "remove-domain",  1, 1, "domain",   account_remove_domain,  { "domain" }                               },
	{ "account",     "add-address",    1, 1, "ip",       account_add_address,    { "ip" }                                   },
	{ "account",     "remove-address", 1, 1, "ip",       account_remove_address, { "ip" }                                   },
	{ "account",     "add-user",       1, 1, NULL,       account_add_user,       { NULL }                                   },
	{ "account",     "remove-user",    1, 1, "username", account_remove_user,    { "username" }                             },
	{ "queue",       "list",           0, 0, NULL,       queue_list,
         { "id", SELECTOR_OPTIONS, "state", "limit", "after" }                                                                  },
	{ "queue",       "show",           1, 1, NULL,       queue_show,             { NULL }                                   },
	{ "queue",       "retry",          0, 1, NULL,       queue_rule,             { SELECTOR_OPTIONS }                       },
	{ "queue",       "bounce",         0, 1, NULL,       queue_rule,             { SELECTOR_OPTIONS }                       },
	{ "queue",       "release",        0, 1, NULL,       queue_rule,             { SELECTOR_OPTIONS }                       },
	{ "queue",       "bad",            0, 2, NULL,       queue_bad,              { "limit", "after", "raw" }                },
	{ "suspend",     NULL,             0, 0, NULL,       suspend,                { "id", SELECTOR_OPTIONS, "reason", "for" }},
	{ "resume",      NULL,             0, 0, NULL,       resume,                 { "id", SELECTOR_OPTIONS }                 },
	{ "suspensions", NULL,             0, 0, NULL,       suspensions,            { NULL }                                   },
	{ "why",         NULL,             1, 1, NULL,       why,                    { "limit" }                                },
	{ "rebuild",     NULL,             0, 0, NULL,       rebuild,                { NULL }                                   },
};

static const struct command *
command_of(const struct ctl *ctl)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		const struct command *command = &commands[i];

		if (strcmp(command->noun, ctl->words[0]) == 0 &&
			(!command->verb ||
				(ctl->words_count > 1 &&
					strcmp(command->verb, ctl->words[1]) == 0)))
			return command;
	}
	return NULL;
}

static bool
fits(const struct ctl *ctl, const struct command *command)
{
	const size_t further = ctl->words_count - (command->verb ? 2 : 1);

	if (further < command->least || further > command->most) {
		ctl_error(ctl, "%s (see --help)",
			further < command->least ? "this command needs one more word: which"
						 : "too many words");
		return false;
	}
	if (command->must && !ctl_has(ctl, command->must)) {
		ctl_error(ctl, "--%s is needed", command->must);
		return false;
	}
	return ctl_only(ctl, command->options) && (command->run == account_add || ctl_once(ctl));
}

int
main(int argc, char **argv)
{
	struct ctl ctl = { .file = DEFAULT_FILE };
	const struct command *command;

	log_set_level(LOG_LEVEL_ERROR);
	if (ctl_parse(&ctl, argc, argv) < 0)
		return CTL_USAGE;
	if (ctl_has(&ctl, "help")) {
		fputs(usage, stdout);
		return CTL_OK;
	}
	if (ctl.words_count == 0) {
		if (ctl.json)
			ctl_error(&ctl, "which command? (see --help)");
		else
			fputs(usage, stderr);
		return CTL_USAGE;
	}
	command = command_of(&ctl);
	if (!command) {
		ctl_error(&ctl, "there is no command \"%s%s%s\" (see --help)", ctl.words[0],
			ctl.words_count > 1 ? " " : "", ctl.words_count > 1 ? ctl.words[1] : "");
		return CTL_USAGE;
	}
	if (!fits(&ctl, command))
		return CTL_USAGE;
	if (ctl_connect(&ctl) < 0)
		return CTL_FAILED;
	return command->run(&ctl);
}
