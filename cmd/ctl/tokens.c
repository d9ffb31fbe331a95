/*
 * tokens.c - the commands about tokens of the API.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

/* "accounts/x/tokens", or "tokens" of all accounts; with `id` one of them. The caller frees it. */
static char *
path_of(const struct ctl *ctl, const char *id)
{
	char *account = ctl_option(ctl, "account") ? ctl_encode(ctl_option(ctl, "account")) : NULL;
	char *name = id ? ctl_encode(id) : NULL;
	char *path = xasprintf("%s%s%stokens%s%s", account ? "accounts/" : "",
		account ? account : "", account ? "/" : "", name ? "/" : "", name ? name : "");

	free(account);
	free(name);
	return path;
}

static void
print_token(const json_t *token)
{
	char *scopes = joined(json_object_get(token, "scopes"), NULL);

	print_field("Token", text_of(token, "id"));
	print_field("Label", json_text(token, "label"));
	print_field("Account", json_text(token, "account"));
	print_field("Scopes", *scopes ? scopes : NULL);
	print_field("Until", json_text(token, "until"));
	print_field("Secret", json_text(token, "secret"));
	if (json_object_get(token, "secret"))
		printf("The secret is stored nowhere: note it now.\n");
	free(scopes);
}

static void
print_tokens(const json_t *reply)
{
	static const char *const heads[] = { "TOKEN", "LABEL", "SCOPES", "UNTIL" };
	json_t *rows = json_array(), *token, *tokens = json_object_get(reply, "tokens");
	size_t i;

	json_array_foreach(tokens, i, token)
	{
		char *scopes = joined(json_object_get(token, "scopes"), NULL);
		char *until = time_of(token, "until");

		json_array_append_new(rows,
			json_pack("[s, s, s, s]", text_of(token, "id"), text_of(token, "label"),
				scopes, until));
		free(scopes);
		free(until);
	}
	print_table(heads, 4, rows);
	print_count(reply, json_array_size(tokens), "tokens");
	print_next(reply);
	json_decref(rows);
}

int
token_add(const struct ctl *ctl)
{
	json_t *body = json_object(), *scopes = json_array();

	for (size_t i = 0; i < ctl->options_count; i++)
		if (strcmp(ctl->options[i].name, "scope") == 0)
			json_array_append_new(scopes, json_string(ctl->options[i].value));
	json_object_set_new(body, "scopes", scopes);
	ctl_set(ctl, body, "label");
	ctl_set(ctl, body, "until");
	return ctl_ask(ctl, "POST", path_of(ctl, NULL), body, print_token);
}

int
token_list(const struct ctl *ctl)
{
	return ctl_list(ctl, path_of(ctl, NULL), "tokens", print_tokens);
}

int
token_remove(const struct ctl *ctl)
{
	return ctl_ask(ctl, "DELETE", path_of(ctl, ctl->words[0]), NULL, print_token);
}
