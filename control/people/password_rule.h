/*
 * password_rule.h - which passwords people may choose (NIST SP 800-63B 5.1.1.2: length, and none
 * that others try first; no demand for signs of several kinds). Pure.
 */
#ifndef CONTROL_PASSWORD_RULE_H
#define CONTROL_PASSWORD_RULE_H

#define PASSWORD_CHARS_MIN 12
#define PASSWORD_BYTES_MAX 256

/* Why the password is refused, as what would be right; NULL: it is good. `login` and `name`: words
 * that are common for this person (NULL: none). */
const char *password_wrong(const char *password, const char *login, const char *name);

#endif
