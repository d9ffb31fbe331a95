/*
 * sasl.c - what a client says in AUTH: base 64, names, passwords, and the first messages.
 *
 * ingress:  session -> cmd_auth, auth_scram -> [sasl]
 *
 * An authorization identity (whom the client wants to act for) has to be the user's own name:
 * acting for someone else is not offered.
 */
#include "ingress/verb/sasl.h"

#include <errno.h>
#include <string.h>

#include <openssl/evp.h>

#include "shared/base/text.h"

/* OpenSSL passes over blanks and hyphens at the ends, so this function looks for them itself. */
long
base64_read(const char *text, size_t length, char *out)
{
	size_t padding = 0;
	int size;

	while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < length - padding; i++)
		if (!is_alnum(text[i]) && text[i] != '+' && text[i] != '/')
			return -EINVAL;
	if (length % 4 != 0)
		return -EINVAL;
	if (length == 0)
		return 0;
	size = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)text, (int)length);
	return size < 0 ? -EINVAL : size - (long)padding;
}

bool
sasl_name_read(const char *text, size_t length, char out[SASL_NAME_MAX + 1])
{
	if (length == 0 || length > SASL_NAME_MAX || text_has_hidden_controls(text, length))
		return false;
	for (size_t i = 0; i < length; i++)
		if (is_control(text[i]))
			return false;
	for (size_t i = 0; i < length; i++)
		out[i] = to_lower(text[i]);
	out[length] = '\0';
	return true;
}

bool
sasl_password_read(const char *text, size_t length, char out[SASL_PASSWORD_MAX + 1])
{
	if (length > SASL_PASSWORD_MAX || memchr(text, '\0', length))
		return false;
	memcpy(out, text, length);
	out[length] = '\0';
	return true;
}

int
sasl_plain_read(const char *text, size_t length, char username[SASL_NAME_MAX + 1],
	char password[SASL_PASSWORD_MAX + 1])
{
	const char *end = text + length, *name = memchr(text, '\0', length), *secret;
	char read[SASL_NAME_MAX + 1];

	if (!name++)
		return -EINVAL;
	secret = memchr(name, '\0', (size_t)(end - name));
	if (!secret || !sasl_name_read(name, (size_t)(secret - name), read) ||
		!sasl_password_read(secret + 1, (size_t)(end - secret - 1), password))
		return -EINVAL;
	memcpy(username, read, sizeof read);
	return name - 1 == text || text_is(text, (size_t)(name - 1 - text), read) ? 0 : -EPERM;
}

/* A saslname (RFC 5802 7) and the comma behind it: "=2C" and "=3D" are a comma and an equals sign.
 */
static bool
take_name(const char **at, const char *end, char out[SASL_NAME_MAX + 1])
{
	const char *comma = memchr(*at, ',', (size_t)(end - *at));
	char name[SASL_NAME_MAX];
	size_t length = 0;

	if (!comma)
		return false;
	for (; *at < comma; ++*at) {
		char c = **at;

		if (length == sizeof name)
			return false;
		if (c == '=') {
			if (comma - *at < 3 ||
				(memcmp(*at, "=2C", 3) != 0 && memcmp(*at, "=3D", 3) != 0))
				return false;
			c = (*at)[2] == 'C' ? ',' : '=';
			*at += 2;
		}
		name[length++] = c;
	}
	++*at;
	return sasl_name_read(name, length, out);
}

static bool
take(const char **at, const char *end, const char *text)
{
	size_t length = strlen(text);

	if ((size_t)(end - *at) < length || memcmp(*at, text, length) != 0)
		return false;
	*at += length;
	return true;
}

int
sasl_scram_read(const char *text, size_t length, char username[SASL_NAME_MAX + 1])
{
	const char *at = text, *end = text + length;
	char other[SASL_NAME_MAX + 1] = "", name[SASL_NAME_MAX + 1];

	if (!take(&at, end, "n,") && !take(&at, end, "y,"))
		return -EINVAL;
	if (take(&at, end, "a=") ? !take_name(&at, end, other) : !take(&at, end, ","))
		return -EINVAL;
	if (!take(&at, end, "n=") || !take_name(&at, end, name))
		return -EINVAL;
	memcpy(username, name, sizeof name);
	return !*other || strcmp(other, name) == 0 ? 0 : -EPERM;
}
