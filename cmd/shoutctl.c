/*
 * shoutctl.c - the operator's command line, over the same API as everything else.
 *
 * argv -> options -> [which command, and does it fit] -> connect -> accounts | queue -> ask -> http
 * -> print
 *
 * Exits 0 when the command is done, 1 when it was refused or there was no answer, 2 on a wrong
 * command line. Errors go to standard error and, with --json, to standard output as {"error": ...}.
 */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/log.h"
#include "shared/base/version.h"

#define LIMITS "messages-hour messages-day recipients-hour recipients-day"
#define USER "label sandbox network+ messages-hour messages-day"
#define SELECTOR "site provider account credential sender domain egress-ip"
#define CHOSEN "site| provider| account| credential| sender| domain| egress-ip|"
#define COMMAND CHOSEN " dry-run"
#define CHANGES                                                                                    \
	"name| contact| language| plan| host| owner| reseller| policy| display-address| messages-hour| messages-day| recipients-hour| recipients-day|"

static const struct command commands[] = {
	/* clang-format off */
	{ "account add", "", "name! contact! language plan domain!+ mode ip+ verified pending owner reseller policy display-address " LIMITS, account_add,
	  "a new account; its password is shown once" },
	{ "account list", "", "limit after deleted owner", account_list, "all accounts" },
	{ "account show", "ACCOUNT", "", account_show, "one account, and what its mail did" },
	{ "account check", "ACCOUNT", "domain", account_check,
	  "what the DNS says of its domains: whose, SPF, DMARC, who runs it" },
	{ "account change", "ACCOUNT", CHANGES, account_change,
	  "what is given; the rest stays" },
	{ "account mailboxes", "ACCOUNT DOMAIN=N...", "", account_mailboxes,
	  "how many each domain has" },
	{ "account domains", "ACCOUNT", "limit after", account_domains,
	  "whether each may send, and what the last look at the DNS saw" },
	{ "account disable", "ACCOUNT", "reason until", account_disable, "it sends no more" },
	{ "account enable", "ACCOUNT", "", account_status, "it sends again, or begins" },
	{ "account delete", "ACCOUNT", "bounce now", account_delete,
	  "as if it were not; for 30 days it can come back" },
	{ "account close", "ACCOUNT", "bounce", account_delete, "the same as delete" },
	{ "account restore", "ACCOUNT", "", account_status, "a deleted one comes back, as it was" },
	{ "account export", "[ACCOUNT]", "all| output! force", account_export,
	  "with users, verifiers, addresses and domains, into a file" },
	{ "account import", "FILE", "dry-run replace", account_import, "what an export has" },
	{ "account mode", "ACCOUNT [credentials|ip]", "ip+ grace undo| extend| end|", account_mode,
	  "how its servers are known: a switch to the other way" },
	{ "account mail activation", "ACCOUNT", "", account_mail, "its contact is told once more that it is active" },
	{ "account mail config", "ACCOUNT", "", account_mail, "how its servers are set up, once more" },
	{ "account mail username", "ACCOUNT", "username", account_mail, "its username, once more; no password" },
	{ "account password", "ACCOUNT", "username mail grace", account_password, "a new one, shown once" },
	{ "account notices", "ACCOUNT", "", account_notices, "the mails of the service that it was sent" },
	{ "account alerts", "ACCOUNT [MAIL=MAILBOX...]", "at", account_alerts, "who gets which mails" },
	{ "account add-domain", "ACCOUNT", "domain! verified", account_add_domain,
	  "one more domain, or one's mailboxes" },
	{ "account remove-domain", "ACCOUNT", "domain!", account_remove_domain, "one domain less" },
	{ "account add-address", "ACCOUNT", "ip! waiting", account_add_address, "one more address" },
	{ "account prove-address", "ACCOUNT", "ip!", account_prove_address,
	  "a link that proves a waiting one" },
	{ "account remove-address", "ACCOUNT", "ip!", account_remove_address, "one address less" },
	{ "account sessions", "ACCOUNT", "", account_sessions, "its servers' last sessions, and what was said when something failed" },
	{ "account limits", "ACCOUNT", "", account_limits, "how much of each is used, and when a full one frees" },
	{ "account test", "ACCOUNT", "id wait", account_test, "watches how far its server comes, for ten minutes" },
	{ "account add-user", "ACCOUNT", "mail " USER, account_add_user,
	  "one more user; the password is shown once" },
	{ "account change-user", "ACCOUNT", "username! enabled| label| sandbox| network|+ messages-hour| messages-day|", account_change_user,
	  "what is given; the rest stays" },
	{ "account suspend-user", "ACCOUNT", "username! reason!", account_suspend_user,
	  "by the operator: it may not log in" },
	{ "account resume-user", "ACCOUNT", "username!", account_resume_user, "it may log in again" },
	{ "account remove-user", "ACCOUNT", "username!", account_remove_user, "one user less" },
	{ "score", "ACCOUNT", "originator credential", score_show, "what somebody's mail did, and what follows from it" },
	{ "score show", "", "limit", score_list, "who is slowed down or held" },
	{ "score release", "ACCOUNT", "originator credential", score_release, "a false alarm: held mail goes on, and the like is usual from now on" },
	{ "score forgive", "ACCOUNT", "originator credential", score_forgive, "new mail goes on; what is held stays for a decision" },
	{ "top", "", "limit", top, "who sends most within this hour" },
	{ "dkim list", "", "limit after", dkim_list, "domains whose mail is signed" },
	{ "dkim show", "DOMAIN", "", dkim_show, "a domain's keys, and the DNS records that they need" },
	{ "dkim enable", "DOMAIN", "algorithm+", dkim_enable, "its mail is signed from now on; keys are made if there are none" },
	{ "dkim rotate", "DOMAIN", "now", dkim_rotate, "the next key signs, or the next one is made" },
	{ "dkim disable", "DOMAIN", "", dkim_disable, "its mail is not signed any more; the keys stay" },
	{ "queue list", "", "id " SELECTOR " state limit after", queue_list,
	  "what is not delivered yet: where it is, and why" },
	{ "queue summary", "", SELECTOR " by limit", queue_summary,
	  "how much, for how long, and what was said of it" },
	{ "queue show", "ID", "", queue_show, "one message that is not delivered yet" },
	{ "queue retry", "[ID]", COMMAND, queue_rule, "what waits is due now" },
	{ "queue bounce", "[ID]", COMMAND, queue_rule, "what is not delivered yet is refused for good" },
	{ "queue release", "[ID]", COMMAND, queue_rule, "what is held goes on" },
	{ "queue bad", "", "limit after", queue_bad_list, "what could not be read, set aside" },
	{ "queue bad show", "KEY", "raw", queue_bad_show, "its bytes, as a dump" },
	{ "queue bad remove", "KEY", "", queue_bad_remove, "for ever: save it first" },
	{ "suspend", "", "id| " COMMAND " reason for", suspend, "what matches waits, now and later" },
	{ "resume", "", "id| " COMMAND, resume, "the same selector as suspended" },
	{ "rules", "", "limit after", rules, "what operators had retried, bounced and released lately" },
	{ "suspensions", "", "limit after", suspensions, "what is suspended" },
	{ "why", "ID|MESSAGE-ID|ADDRESS|CLIENT|USERNAME|ACCOUNT", "limit after", why,
	  "what became of a message, what was refused, or who changed an account" },
	{ "events", "", "client username account from to domain event id since until limit after follow", events,
	  "what happened; unless --since is given, the newest" },
	{ "replies unknown", "", "", replies_unknown, "what mail hosts say that no response rule knows" },
	{ "egress add", "IP", "helo! pool! weight via warm", egress_ip_add, "mail leaves from one more address" },
	{ "egress list", "", "limit after", egress_ip_list, "the addresses that mail leaves from" },
	{ "egress show", "IP", "", egress_ip_show, "one of them" },
	{ "egress rest", "IP", "until!", egress_ip_rest, "no mail leaves from it until then; now: it may again" },
	{ "egress lift", "IP", "", egress_ip_lift, "hosts no longer refuse it: mail that waits for it goes out" },
	{ "egress pool", "IP POOL", "weight", egress_ip_pool, "it serves other mail" },
	{ "egress remove", "IP", "", egress_ip_remove, "mail no longer leaves from it" },
	{ "token add", "", "account| all| label! scope!+ until", token_add,
	  "a token for a program; it is shown once" },
	{ "token list", "", "account limit after", token_list, "an account's tokens, or those for all accounts" },
	{ "token remove", "TOKEN", "account", token_remove, "a token ends at once" },
	{ "person add", "LOGIN", "account name! role! language", person_add,
	  "somebody who logs in to the panel, of an account or of the operator" },
	{ "person list", "", "account limit after", person_list, "an account's people, or the operator's" },
	{ "person show", "LOGIN", "account", person_show, "one of them" },
	{ "person change", "LOGIN", "account name| role| language| no-second-factor|", person_change,
	  "what is given; the rest stays" },
	{ "person remove", "LOGIN", "account", person_remove, "the person logs in no more" },
	{ "person invite", "LOGIN", "account", person_invite, "a new link to choose a password by" },
	{ "webhook add", "URL", "account! event!", webhook_add,
	  "a program is told of the account's mail; its secret is shown once" },
	{ "webhook list", "", "account! limit after", webhook_list, "an account's webhooks" },
	{ "webhook show", "WEBHOOK", "account!", webhook_show, "one webhook" },
	{ "webhook change", "WEBHOOK [URL]", "account! event", webhook_change, "another URL, or other events" },
	{ "webhook enable", "WEBHOOK", "account!", webhook_switch, "it is posted to again, from now on" },
	{ "webhook disable", "WEBHOOK", "account!", webhook_switch, "it is posted to no more" },
	{ "webhook remove", "WEBHOOK", "account!", webhook_remove, "for ever" },
	{ "webhook test", "WEBHOOK", "account!", webhook_test, "an event test is posted now" },
	{ "webhook tries", "WEBHOOK", "account!", webhook_tries, "the last 50 posts, and how they went" },
	{ "trace", "", "account recipient sender domain id message-id state class credential since until limit after", trace,
	  "what became of messages: to each recipient, with every reply" },
	{ "open", "", "account older limit after", open_list,
	  "accepted messages that have no end for longer than they may" },
	{ "backup", "FILE", "force", backup, "all that cannot be made anew, but mail" },
	{ "restore", "FILE", "dry-run", restore, "a backup, into a relay without accounts" },
	{ "rebuild", "", "take-over", rebuild, "write the accounts into Redis anew" },
	/* clang-format on */
};
#define COMMANDS (sizeof commands / sizeof *commands)

/* Which command */

/* How many words of the command line are this command's name; 0: the line has another command. */
static size_t
named_by(const struct command *command, const struct ctl *ctl)
{
	const char *name = command->name;
	size_t count = 0, length;

	for (; *name; name += length, name += *name == ' ', count++) {
		length = strcspn(name, " ");
		if (count == ctl->words_count || strlen(ctl->words[count]) != length ||
			memcmp(name, ctl->words[count], length) != 0)
			return 0;
	}
	return count;
}

/* Removes the command's name from the words. */
static const struct command *
command_take(struct ctl *ctl)
{
	const struct command *command = NULL;
	size_t longest = 0;

	for (size_t i = 0; i < COMMANDS; i++) {
		const size_t count = named_by(&commands[i], ctl);

		if (count > longest) {
			longest = count;
			command = &commands[i];
		}
	}
	if (longest > 0)
		ctl->verb = ctl->words[longest - 1];
	ctl->words_count -= longest;
	memmove(ctl->words, ctl->words + longest, ctl->words_count * sizeof *ctl->words);
	return command;
}

/* Whether the command line fits it */

static bool
options_fit(const struct ctl *ctl, const struct command *command)
{
	for (size_t i = 0; i < ctl->options_count; i++) {
		const struct ctl_option *option = &ctl->options[i];
		const char *flags = ctl_listed(command->options, option->name);

		if (!flags && !ctl_listed(CTL_EVERY, option->name)) {
			ctl_error(ctl, "%s does not take --%s", command->name, option->name);
			return false;
		}
		if (option->value && !ctl_marked(flags, '+') &&
			ctl_option(ctl, option->name) != option->value) {
			ctl_error(ctl, "--%s is given twice", option->name);
			return false;
		}
	}
	for (const struct ctl_known *known = ctl_known; known->name; known++)
		if (ctl_marked(ctl_listed(command->options, known->name), '!') &&
			!ctl_has(ctl, known->name)) {
			ctl_error(ctl, "%s needs --%s", command->name, known->name);
			return false;
		}
	return true;
}

/* "--a, --b, --c": the options with the mark. */
static char *
marked_options(const struct command *command, char mark)
{
	char *text = xstrdup(""), *longer;

	for (const struct ctl_known *known = ctl_known; known->name; known++) {
		if (!ctl_marked(ctl_listed(command->options, known->name), mark))
			continue;
		longer = xasprintf("%s%s--%s", text, *text ? ", " : "", known->name);
		free(text);
		text = longer;
	}
	return text;
}

/* How many words the command takes at most. */
static size_t
words_of(const struct command *command)
{
	size_t count = *command->words != '\0';

	for (const char *c = command->words; *c; c++)
		count += *c == ' ';
	return count;
}

/* Whether one of the options marked "|", or the word, is given. */
static bool
choice_fits(const struct ctl *ctl, const struct command *command)
{
	char *choices;

	if (ctl->words_count == words_of(command) && strchr(command->words, '['))
		return true;
	for (size_t i = 0; i < ctl->options_count; i++)
		if (ctl_marked(ctl_listed(command->options, ctl->options[i].name), '|'))
			return true;
	choices = marked_options(command, '|');
	if (*choices)
		ctl_error(ctl, "%s needs %s%s", command->name,
			*command->words == '[' ? "the ID of a message, or one of " : "one of ",
			choices);
	free(choices);
	return !strchr(command->options, '|');
}

static bool
words_fit(const struct ctl *ctl, const struct command *command)
{
	const bool list = strstr(command->words, "...") != NULL;
	const size_t most = list ? CTL_VALUES_MAX : words_of(command);
	const size_t least = list && !strchr(command->words, '[')
		? words_of(command)
		: *command->words && *command->words != '[';

	if (ctl->words_count < least)
		ctl_error(ctl, "%s needs %s", command->name, command->words);
	else if (ctl->words_count > most)
		ctl_error(ctl, "%s does not take the word \"%s\"", command->name, ctl->words[most]);
	return ctl->words_count >= least && ctl->words_count <= most;
}

static int
help(struct ctl *ctl)
{
	const char *noun = ctl->words_count > 0 ? ctl->words[0] : "";
	const struct command *command = command_take(ctl);

	if (command)
		help_command(command);
	else
		help_all(stdout, commands, COMMANDS, noun);
	return CTL_OK;
}

/* Output that failed is an error: nobody could read a new password. */
static int
written(const struct ctl *ctl, int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	ctl_error(ctl, "the answer cannot be written: %s", strerror(errno));
	return CTL_FAILED;
}

int
main(int argc, char **argv)
{
	struct ctl ctl = { 0 };
	const struct command *command;
	int status;

	log_set_level(LOG_LEVEL_ERROR);
	setlocale(LC_CTYPE, "C.UTF-8"); /* for wcwidth(), whatever the terminal's locale */
	if (ctl_parse(&ctl, argc, argv) < 0)
		return CTL_USAGE;
	if (ctl_has(&ctl, "help"))
		return help(&ctl);
	if (ctl_has(&ctl, "version")) {
		printf("shoutctl %s\n", SHOUT_VERSION);
		return CTL_OK;
	}
	if (ctl.words_count == 0) {
		if (ctl.json)
			ctl_error(&ctl, "which command? (see --help)");
		else
			help_all(stderr, commands, COMMANDS, "");
		return CTL_USAGE;
	}
	command = command_take(&ctl);
	if (!command)
		ctl_error(&ctl, "there is no command \"%s%s%s\" (see --help)", ctl.words[0],
			ctl.words_count > 1 ? " " : "", ctl.words_count > 1 ? ctl.words[1] : "");
	if (!command || !words_fit(&ctl, command) || !options_fit(&ctl, command) ||
		!choice_fits(&ctl, command))
		return CTL_USAGE;
	ctl.command = command;
	status = ctl_connect(&ctl) < 0 ? CTL_FAILED : written(&ctl, command->run(&ctl));
	ctl_disconnect(&ctl);
	return status;
}
