/*
 * person_entry.c - checks each field of a person's entry: a file that is restored may be hostile.
 */
#include "control/account/person_entry.h"

#include <stdio.h>
#include <string.h>

#include "control/account/accounts.h"
#include "control/account/transfer_check.h"
#include "shared/base/json_text.h"
#include "shared/base/text.h"
#include "shared/mail/address.h"

#define SIGNS "!#$%&'*+-=?^_`{|}~."
#define HEX "0123456789abcdef"
#define HASH_LENGTH 64
#define RECOVERY_MAX 10
#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
/* Of argon2id: KiB, passes, and lanes; more than we ever make. */
#define MEMORY_MAX 65536u
#define PASSES_MAX 10u

bool
login_canonical(const char *text, char out[LOGIN_SIZE])
{
	const char *at = text ? strrchr(text, '@') : NULL;
	char domain[256];
	size_t i;

	*out = '\0';
	if (!at || strlen(text) > LOGIN_MAX || !address_is_mailbox(text))
		return false;
	for (i = 0; text + i < at; i++) {
		if (!is_alnum(text[i]) && !strchr(SIGNS, text[i])) {
			*out = '\0';
			return false;
		}
		out[i] = to_lower(text[i]);
	}
	if (canonical_domain(at + 1, domain) < 0 || i + 1 + strlen(domain) > LOGIN_MAX) {
		*out = '\0';
		return false;
	}
	snprintf(out + i, LOGIN_SIZE - i, "@%s", domain);
	return true;
}

bool
person_verifier_valid(const char *verifier)
{
	unsigned memory, passes;
	size_t salt, sum;
	int at = 0;

	if (!verifier || strlen(verifier) > 200 ||
		sscanf(verifier, "$argon2id$v=19$m=%5u,t=%2u,p=1$%n", &memory, &passes, &at) != 2 ||
		!at)
		return false;
	salt = strspn(verifier + at, BASE64);
	if (salt < 11 || salt > 64 || verifier[at + (int)salt] != '$')
		return false;
	sum = strspn(verifier + at + salt + 1, BASE64);
	return memory >= 8 && memory <= MEMORY_MAX && passes >= 1 && passes <= PASSES_MAX &&
		sum >= 22 && sum <= 86 && !verifier[at + (int)salt + 1 + (int)sum];
}

bool
person_name_valid(const char *name)
{
	if (!name || !*name || utf8_count(name) > PERSON_NAME_MAX)
		return false;
	for (; *name; name++)
		if (is_control(*name))
			return false;
	return true;
}

static bool
is_word_of(const char *word, const char *words)
{
	return word && *word && text_has_word(words, word, strlen(word));
}

static bool
is_hash(const char *text)
{
	return text && strlen(text) == HASH_LENGTH && strspn(text, HEX) == HASH_LENGTH;
}

static bool
is_number(const json_t *person, const char *field)
{
	return json_integer_value(json_object_get(person, field)) >= 0;
}

static int
check_link(struct fault *fault, const json_t *person)
{
	const char *link = json_text(person, "link");

	if (!link && !json_object_get(person, "secret"))
		return 0;
	if (!is_word_of(link, "invite reset"))
		return fault_set(fault, 400, "link", "one of: invite, reset");
	if (!is_hash(json_text(person, "secret")))
		return fault_set(fault, 400, "secret", "64 digits of 0-9a-f");
	return is_number(person, "link_until_us")
		? 0
		: fault_set(fault, 400, "link_until_us", "a time in microseconds");
}

static int
check_factor(struct fault *fault, const json_t *person)
{
	const json_t *codes = json_object_get(person, "recovery");
	const char *totp = json_text(person, "totp");
	json_t *code;
	size_t i;

	if (totp && (strlen(totp) != 32 || strspn(totp, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != 32))
		return fault_set(fault, 400, "totp", "32 signs of A-Z2-7");
	if (json_array_size(codes) > RECOVERY_MAX)
		return fault_set(fault, 400, "recovery", "at most %d", RECOVERY_MAX);
	json_array_foreach(codes, i, code) if (!is_hash(json_string_value(code))) return fault_set(
		fault, 400, "recovery", "each has 64 digits of 0-9a-f");
	return 0;
}

static int
check_person(struct fault *fault, const char *login, const json_t *person)
{
	const char *language = json_text(person, "language");
	char form[LOGIN_SIZE];

	if (!login_canonical(login, form) || strcmp(form, login) != 0)
		return fault_set(fault, 400, "login", "a mail address in lower case");
	if (!person_name_valid(json_text(person, "name")))
		return fault_set(
			fault, 400, "name", "a name of at most %d characters", PERSON_NAME_MAX);
	if (language && !is_word_of(language, "it en"))
		return fault_set(fault, 400, "language", "one of: it, en");
	if (json_object_get(person, "verifier") &&
		!person_verifier_valid(json_text(person, "verifier")))
		return fault_set(fault, 400, "verifier",
			"$argon2id$v=19$m=<KiB>,t=<passes>,p=1$<salt>$<hash>, at most 64 MiB");
	if (!is_number(person, "created_us") || !is_number(person, "epoch"))
		return fault_set(fault, 400, is_number(person, "epoch") ? "created_us" : "epoch",
			"a number from 0 up");
	return check_link(fault, person) < 0 ? -1 : check_factor(fault, person);
}

int
check_person_of_account(struct fault *fault, const char *login, const json_t *person)
{
	if (!is_word_of(json_text(person, "role"), "reader manager owner"))
		return fault_set(fault, 400, "role", "one of: reader, manager, owner");
	return check_person(fault, login, person);
}

int
check_person_entry(struct fault *fault, const char *login, const json_t *person)
{
	const char *account = json_text(person, "account");

	if (!json_text(person, "login") || strcmp(json_text(person, "login"), login) != 0)
		return fault_set(fault, 400, "login", "is not that of the key");
	if (account && !account_id_valid(account))
		return fault_set(fault, 400, "account", "no account has such an id");
	if (account)
		return check_person_of_account(fault, login, person);
	if (!is_word_of(json_text(person, "role"), "support postmaster admin"))
		return fault_set(fault, 400, "role", "one of: support, postmaster, admin");
	return check_person(fault, login, person);
}
