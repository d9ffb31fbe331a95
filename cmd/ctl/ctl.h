/*
 * ctl.h - the parts of shoutctl: its command line, the HTTP client, the printing.
 */
#ifndef CMD_CTL_CTL_H
#define CMD_CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#define CTL_VALUES_MAX 64
/* The options that every command takes. */
#define CTL_EVERY "url token-file ca-file json help version"

/* Exit statuses */
enum ctl_status { CTL_OK, CTL_FAILED, CTL_USAGE };

struct ctl;

/* A command. Words in brackets may be left out; of the last one, "..." behind it, several may be
 * given. `options` are the command's options, separated by
 * blanks. A mark behind an option: "!" it must be given; "+" it may be given more than once; "|"
 * one of the options so marked, or the word, must be given. */
struct command {
	const char *name, *words, *options;
	int (*run)(const struct ctl *ctl);
	const char *help; /* in one line */
};

/* An option of some command. */
struct ctl_known {
	const char *name, *value; /* value: its name in the help text; NULL: a switch */
	const char *help;
};
extern const struct ctl_known ctl_known[]; /* ended by a NULL name */

struct ctl_option {
	const char *name, *value; /* value NULL: a switch */
};

#define CTL_TOKEN_MAX 64

struct ctl {
	const char *file; /* NULL: not given */
	bool json;
	const struct command *command;
	const char *verb;                  /* the last word of the command's name */
	const char *words[CTL_VALUES_MAX]; /* the words behind the name, in order */
	size_t words_count;
	struct ctl_option options[CTL_VALUES_MAX];
	size_t options_count;
	/* connect.c */
	char *url;   /* the part before /api/v1 */
	char *place; /* where to connect, as curl has it, "::address:port"; NULL: where url says */
	char *ca_file;
	char token[CTL_TOKEN_MAX + 1];
};

/* options.c: 0, or -1 after saying what is wrong with the command line. */
int ctl_parse(struct ctl *ctl, int argc, char **argv);
/* The (first) value of an option; NULL: not given, or a switch. */
const char *ctl_option(const struct ctl *ctl, const char *name);
bool ctl_has(const struct ctl *ctl, const char *name);
/* Tells an error: on standard error and, with --json, as {"error": ...} on standard output. */
void
ctl_error(const struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The text behind the option in a list of options: its marks, and more; NULL: the list does not
 * have the option. */
const char *ctl_listed(const char *options, const char *name);
bool ctl_marked(const char *listed, char mark);

/* connect.c: finds the API's place, and reads the token; -1 after saying why not. */
int ctl_connect(struct ctl *ctl);
/* Wipes the token. */
void ctl_disconnect(struct ctl *ctl);

/* http.c */
/* Makes one request to /api/v1/`path`; `body` (taken over) may be NULL. Returns the answer, or NULL
 * after saying why not. */
json_t *ctl_request(const struct ctl *ctl, const char *method, const char *path, json_t *body);
/* The same, but the body of a refusal goes to `refusal_out` (if not NULL), for the caller to
 * release, and nothing is said of the refusal. */
json_t *ctl_try(const struct ctl *ctl, const char *method, const char *path, json_t *body,
	json_t **refusal_out);
/* Why a question got no answer. `passes`: the same question may be answered later (nobody listens,
 * 5xx), and only `text` tells of the failure so far. */
#define CTL_TROUBLE_MAX 512
struct ctl_trouble {
	bool passes;
	char text[CTL_TROUBLE_MAX];
};
/* Like ctl_request(), for a question (GET) that is asked again and again. */
json_t *ctl_poll(const struct ctl *ctl, const char *path, struct ctl_trouble *trouble);
/* Percent-encodes text for paths and queries; the caller frees it. */
char *ctl_encode(const char *text);

/* ask.c */
/* What the user types for a field of the API: "--ip", or ACCOUNT; the caller frees it. */
char *ctl_typed(const struct ctl *ctl, const char *field);
/* Sets the field of that name to an option's value, if it was given. */
void ctl_set(const struct ctl *ctl, json_t *body, const char *option);
/* The name of the person at the terminal, from the system; NULL: not known. */
const char *ctl_operator(void);
/* "path?a=b&c_d=e" from the given ones of the options (NULL-ended); the caller frees it. */
char *ctl_query(const struct ctl *ctl, const char *path, const char *const *options);
/* Sends a request, and prints the answer by `print`, unless --json. Takes `path` and `body` (may be
 * NULL) over. Returns an exit status. */
int ctl_ask(const struct ctl *ctl, const char *method, char *path, json_t *body,
	void (*print)(const json_t *reply));
/* Prints a list as one page: asks for pages of `path` (taken over; without limit and after) until
 * there are as many items as --limit says. `items` is the list's name in the answer. */
int
ctl_list(const struct ctl *ctl, char *path, const char *items, void (*print)(const json_t *reply));

/* accounts.c: commands; each returns an exit status. */
int account_add(const struct ctl *ctl);
int account_list(const struct ctl *ctl);
int account_show(const struct ctl *ctl);
int account_check(const struct ctl *ctl);
int account_status(const struct ctl *ctl);
int account_disable(const struct ctl *ctl);
int account_domains(const struct ctl *ctl);
int account_delete(const struct ctl *ctl);
int account_mode(const struct ctl *ctl);
int account_change(const struct ctl *ctl);
int account_mailboxes(const struct ctl *ctl);
int account_add_domain(const struct ctl *ctl);
int account_remove_domain(const struct ctl *ctl);
int account_add_address(const struct ctl *ctl);
int account_prove_address(const struct ctl *ctl);
int account_remove_address(const struct ctl *ctl);
/* "accounts/<the account named>/<what>", and that of one of its members; the caller frees it. */
char *account_path(const struct ctl *ctl, const char *what);
char *member_path(const struct ctl *ctl, const char *what, const char *name);
/* A number if the text is one; else the text, and the API says what is wrong. */
json_t *number_read(const char *text);
/* Prints the answer to a change. */
void print_done(const json_t *reply);

/* connection.c: commands, likewise. */
int account_sessions(const struct ctl *ctl);
int account_test(const struct ctl *ctl);
int account_limits(const struct ctl *ctl);

/* users.c: commands, likewise. */
int account_password(const struct ctl *ctl);
int account_add_user(const struct ctl *ctl);
int account_change_user(const struct ctl *ctl);
int account_suspend_user(const struct ctl *ctl);
int account_resume_user(const struct ctl *ctl);
int account_remove_user(const struct ctl *ctl);

/* notices.c: commands, likewise. */
int account_mail(const struct ctl *ctl);
int account_notices(const struct ctl *ctl);
int account_alerts(const struct ctl *ctl);

/* tokens.c: commands, likewise. */
int token_add(const struct ctl *ctl);
int token_list(const struct ctl *ctl);
int token_remove(const struct ctl *ctl);

/* score.c: commands, likewise. */
int score_show(const struct ctl *ctl);
int score_list(const struct ctl *ctl);
int score_release(const struct ctl *ctl);
int score_forgive(const struct ctl *ctl);
int top(const struct ctl *ctl);
/* webhooks.c: commands, likewise. */
int webhook_add(const struct ctl *ctl);
int webhook_list(const struct ctl *ctl);
int webhook_show(const struct ctl *ctl);
int webhook_change(const struct ctl *ctl);
int webhook_switch(const struct ctl *ctl);
int webhook_remove(const struct ctl *ctl);
int webhook_test(const struct ctl *ctl);
int webhook_tries(const struct ctl *ctl);

/* dkim.c: commands, likewise. */
int dkim_list(const struct ctl *ctl);
int dkim_show(const struct ctl *ctl);
int dkim_enable(const struct ctl *ctl);
int dkim_rotate(const struct ctl *ctl);
int dkim_disable(const struct ctl *ctl);

/* people.c: commands, likewise. */
int person_add(const struct ctl *ctl);
int person_list(const struct ctl *ctl);
int person_show(const struct ctl *ctl);
int person_change(const struct ctl *ctl);
int person_remove(const struct ctl *ctl);
int person_invite(const struct ctl *ctl);

/* egress.c: commands, likewise. */
int egress_ip_add(const struct ctl *ctl);
int egress_ip_list(const struct ctl *ctl);
int egress_ip_show(const struct ctl *ctl);
int egress_ip_rest(const struct ctl *ctl);
int egress_ip_lift(const struct ctl *ctl);
int egress_ip_pool(const struct ctl *ctl);
int egress_ip_remove(const struct ctl *ctl);

/* transfer.c: commands, likewise. */
int account_export(const struct ctl *ctl);
int account_import(const struct ctl *ctl);
int backup(const struct ctl *ctl);
int restore(const struct ctl *ctl);

/* file.c: a file that appears as a whole or not at all, for its owner alone (mode 0600). "-":
 * standard output. */
struct ctl_file {
	const char *path;
	char *temporary; /* NULL: standard output */
	FILE *stream;
	bool force; /* may replace an existing file */
};
/* 0, or -1 after saying why not. */
int file_begin(const struct ctl *ctl, struct ctl_file *file, const char *path, bool force);
/* Puts the file in its place, durably, or (not `good`) drops it. 0, or -1 after saying why not. */
int file_end(const struct ctl *ctl, struct ctl_file *file, bool good);

/* lines.c: files of JSON, one object a line: a head {"shout":kind,"version":1,...}, the items, and
 * an end {"end":number of items}. A file without the end was cut off. */
#define LINES_VERSION 1
struct lines {
	json_t *head;
	json_t *items; /* an array; item i stands in line i + 2 */
};
/* Reads the whole file. `path` "-": standard input. 0, or -1 after saying what is wrong in which
 * line. */
int lines_read(const struct ctl *ctl, const char *path, const char *kind, struct lines *lines_out);
void lines_free(struct lines *lines);
/* Writes an object as a line, and takes the object over. */
void lines_put(FILE *stream, json_t *object);

/* queue.c: commands, likewise. */
int queue_list(const struct ctl *ctl);
int queue_summary(const struct ctl *ctl);
int queue_show(const struct ctl *ctl);
int queue_rule(const struct ctl *ctl);
int queue_bad_list(const struct ctl *ctl);
int queue_bad_show(const struct ctl *ctl);
int queue_bad_remove(const struct ctl *ctl);
int rules(const struct ctl *ctl);
int suspend(const struct ctl *ctl);
int resume(const struct ctl *ctl);
int suspensions(const struct ctl *ctl);
int why(const struct ctl *ctl);
int replies_unknown(const struct ctl *ctl);
int rebuild(const struct ctl *ctl);

/* trace.c: likewise. */
int trace(const struct ctl *ctl);
int open_list(const struct ctl *ctl);

/* events.c: likewise. */
int events(const struct ctl *ctl);

/* help.c, manual.c: --help of one command, and of all commands (that begin with the noun, if one
 * does). */
void help_command(const struct command *command);
void help_all(FILE *out, const struct command *commands, size_t count, const char *noun);
/* What a command does, in a few sentences, and examples (one a line, NULL-ended). */
struct manual {
	const char *name, *text;
	const char *examples[4];
};
const struct manual *manual_find(const char *command); /* NULL: not found */

/* print.c */
void print_json(const json_t *value);
/* Prints a remote's text by text_clean(): all text for people goes through print_clean(). */
void print_clean(FILE *out, const char *text);
/* Prints rows of cells, each column as wide as its widest cell; `rows` is an array of arrays of
 * strings. */
void print_table(const char *const *heads, size_t columns, const json_t *rows);
/* The same, and below each row `below` prints the object at the row's place in `about`. */
void print_rows(const char *const *heads, size_t columns, const json_t *rows, const json_t *about,
	void (*below)(const json_t *one));
/* Prints "Name    value", with control characters made harmless. */
void print_field(const char *name, const char *value);
/* A field of an object as text: "" when the object has no such text; a number in digits. */
const char *text_of(const json_t *object, const char *key);
const char *number_of(const json_t *object, const char *key);
/* "2026-11-24 03:56:48", without the fraction and the zone; the caller frees it. */
char *time_of(const json_t *object, const char *key);
/* The strings (or objects' `key`) of a list in one text; the caller frees it. */
char *joined(const json_t *list, const char *key);
/* Prints "3 of 17 accounts", or less when the list does not know. */
void print_count(const json_t *reply, size_t count, const char *what);
void print_account(const json_t *account);
/* Prints the mode, and the switch or the time of grace that an answer has. */
void print_mode(const json_t *reply);
void print_check(const json_t *report);
void print_domain_states(const json_t *reply);
/* print_connection.c */
void print_sessions(const json_t *reply);
void print_test(const json_t *test);
void print_limits(const json_t *reply);
/* print_users.c */
void print_users(const json_t *users);
void print_accounts(const json_t *reply);
/* print_queue.c */
void print_queue(const json_t *reply);
void print_message(const json_t *reply);
void print_summary(const json_t *reply);
void print_bad_list(const json_t *reply);
/* Prints one entry as a hex dump, or its bytes as they are. */
void print_bad(const json_t *reply);
void print_bad_raw(const json_t *reply);
/* A selector as "site x, account y"; the caller frees it. */
char *print_selector(const json_t *selector);
void print_rules(const json_t *reply);
void print_suspensions(const json_t *reply);
void print_replies(const json_t *reply);
/* Prints how to see the next page, if there is one. */
void print_next(const json_t *reply);
/* print_events.c */
void print_why(const json_t *reply);
/* Prints an event with its message and account: in one line, or on a terminal in as many as it
 * takes. */
void print_event(const json_t *event);

/* wrap.c: wraps words where a terminal's line ends; the next line begins behind `indent` columns.
 * Zero-initialise unknown fields. */
struct wrap {
	size_t indent, column; /* column: how far the line is written */
	bool fresh;            /* only the indent is written so far */
};
void wrap_line(struct wrap *wrap);
/* Writes text, cleaned as by print_clean(). */
void wrap_text(struct wrap *wrap, const char *text);
/* The columns that the text takes when printed. */
size_t width_of(const char *text);

#endif
