/*
 * password_rule.c - refuses passwords that are short, or that a guesser tries first.
 *
 * A guesser takes common words, one's own name, and keys that are neighbours; strings them
 * together, writes 0 for o, and adds digits and signs. So a password is judged by its letters: when
 * common words make up all of them, the rest does not help.
 */
#include "control/people/password_rule.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/text.h"

#define DISTINCT_MIN 5
#define WORDS_MAX 8 /* of a person's own */
#define WORD_SIZE 64

static const char *const common[] = { "password", "passwort", "passwd", "pass", "word", "admin",
	"administrator", "amministratore", "root", "toor", "user", "utente", "login", "guest",
	"test", "prova", "demo", "temp", "default", "secret", "segreto", "segreta", "letmein",
	"welcome", "benvenuto", "benvenuti", "ciao", "hello", "access", "accesso", "master",
	"manager", "server", "mail", "email", "relay", "posta", "postmaster", "webmaster",
	"support", "assistenza", "office", "ufficio", "azienda", "company", "internet", "network",
	"computer", "system", "service", "servizio", "shout", "panel", "pannello", "qwerty",
	"qwertz", "azerty", "qwertyuiop", "asdfgh", "asdfghjkl", "zxcvbn", "zxcvbnm", "qazwsx",
	"qazwsxedc", "asdf", "qwer", "zxcv", "abc", "abcd", "abcdef", "abcdefg", "xyz", "iloveyou",
	"iloveu", "tiamo", "love", "amore", "amoremio", "mamma", "papa", "baby", "angel",
	"princess", "principessa", "sunshine", "sole", "flower", "fiore", "monkey", "dragon",
	"shadow", "tiger", "lion", "eagle", "horse", "football", "baseball", "basketball", "calcio",
	"soccer", "hockey", "superman", "batman", "starwars", "pokemon", "trustno", "trustme",
	"changeme", "cambiami", "change", "cambia", "nuova", "nuovo", "new", "super", "juventus",
	"inter", "milan", "roma", "napoli", "lazio", "torino", "milano", "italia", "italy",
	"forzajuve", "forzamilan", "forzainter", "forzaroma", "forza", "juve", "ferrari",
	"francesco", "francesca", "alessandro", "alessandra", "andrea", "antonio", "giuseppe",
	"giovanni", "giulia", "chiara", "federica", "stefano", "stefania", "martina", "matteo",
	"lorenzo", "leonardo", "valentina", "silvia", "sara", "marco", "mario", "maria", "luca",
	"paolo", "paola", "anna", "laura", "michael", "michelle", "jessica", "jennifer", "ashley",
	"daniel", "charlie", "thomas", "robert", "jordan", "hunter", "freedom", "whatever",
	"computer", "summer", "estate", "winter", "inverno", "spring", "primavera", "autumn",
	"autunno", "monday", "january", "gennaio", "febbraio", "marzo", "aprile", "maggio",
	"giugno", "luglio", "agosto", "settembre", "ottobre", "novembre", "dicembre", "lunedi",
	"domenica", "google", "facebook", "microsoft", "windows", "outlook", "exchange", "linux",
	"apple", "samsung", "my", "mio", "mia", "il", "la", "the", "is", "e", "di", "del", "a" };

struct words {
	char own[WORDS_MAX][WORD_SIZE];
	size_t count;
};

/* Takes the letters of each part of a name of at least 3 letters, as words. */
static void
take_own(struct words *words, const char *text)
{
	while (text && *text && words->count < WORDS_MAX) {
		size_t length = 0;

		while (*text && !is_alnum(*text))
			text++;
		for (; is_alnum(*text); text++)
			if (!is_digit(*text) && length + 1 < WORD_SIZE)
				words->own[words->count][length++] = to_lower(*text);
		words->own[words->count][length] = '\0';
		words->count += length >= 3;
	}
}

static bool
begins(const char *text, const char *word, size_t *length_out)
{
	*length_out = strlen(word);
	return strncmp(text, word, *length_out) == 0;
}

/* Whether words, one behind another, make up the whole text. */
static bool
is_made_of(const char *text, const struct words *words)
{
	const size_t length = strlen(text);
	bool reached[PASSWORD_BYTES_MAX + 1] = { true };
	size_t step;

	for (size_t at = 0; at < length; at++) {
		if (!reached[at])
			continue;
		for (size_t i = 0; i < sizeof common / sizeof *common; i++)
			if (begins(text + at, common[i], &step))
				reached[at + step] = true;
		for (size_t i = 0; i < words->count; i++)
			if (begins(text + at, words->own[i], &step))
				reached[at + step] = true;
	}
	return length > 0 && reached[length];
}

/* The letter that a sign is written for, or 0. */
static char
letter_of(char sign)
{
	static const char signs[] = "0134578@$!+", letters[] = "oieastbasit";
	const char *at = strchr(signs, sign);

	return at && *at ? letters[at - signs] : '\0';
}

/* The letters of a password, in lower case; `spelt`: signs that stand for letters, too. False: a
 * letter beyond ASCII, which no common word has. */
static bool
letters(const char *password, bool spelt, char out[PASSWORD_BYTES_MAX + 1])
{
	size_t length = 0;

	for (; *password; password++) {
		const char letter = is_digit(*password) || !is_alnum(*password)
			? (spelt ? letter_of(*password) : '\0')
			: to_lower(*password);

		if ((unsigned char)*password >= 0x80)
			return false;
		if (letter)
			out[length++] = letter;
	}
	out[length] = '\0';
	return true;
}

/* The signs before and after a spelling, which add nothing: "P4ssw0rd2026" is p4ssw0rd. */
static void
trim(char *text)
{
	size_t length = strlen(text);

	while (length > 0 && !is_alnum(text[length - 1]))
		length--;
	while (length > 0 && is_digit(text[length - 1]))
		length--;
	text[length] = '\0';
}

static bool
is_common(const char *password, const struct words *words)
{
	char bare[PASSWORD_BYTES_MAX + 1], cut[PASSWORD_BYTES_MAX + 1];

	text_copy(cut, sizeof cut, password);
	if (letters(password, false, bare) && is_made_of(bare, words))
		return true;
	if (letters(password, true, bare) && is_made_of(bare, words))
		return true;
	trim(cut);
	return letters(cut, true, bare) && is_made_of(bare, words);
}

static size_t
count_distinct(const char *text)
{
	bool seen[256] = { false };
	size_t count = 0;

	for (; *text; text++) {
		count += !seen[(unsigned char)*text];
		seen[(unsigned char)*text] = true;
	}
	return count;
}

static bool
are_neighbours(char a, char b)
{
	static const char *const rows[] = { "1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm" };

	if (a - b <= 1 && a - b >= -1)
		return true;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *at = strchr(rows[i], to_lower(a)), *to = strchr(rows[i], to_lower(b));

		if (at && to && at - to <= 1 && to - at <= 1)
			return true;
	}
	return false;
}

/* Whether three of four signs follow their neighbour: 123456789012, aaabbbcccddd. */
static bool
is_row(const char *text)
{
	const size_t length = strlen(text);
	size_t near = 0;

	for (size_t i = 0; i + 1 < length; i++)
		near += are_neighbours(text[i], text[i + 1]);
	return 4 * near >= 3 * (length - 1);
}

const char *
password_wrong(const char *password, const char *login, const char *name)
{
	struct words words = { .count = 0 };

	if (!utf8_valid(password, strlen(password)) || utf8_count(password) < PASSWORD_CHARS_MIN)
		return "at least 12 characters are needed";
	if (strlen(password) > PASSWORD_BYTES_MAX)
		return "at most 256 bytes are taken";
	for (const char *at = password; *at; at++)
		if (is_control(*at))
			return "control characters are not taken";
	take_own(&words, login);
	take_own(&words, name);
	if (count_distinct(password) < DISTINCT_MIN || is_row(password) ||
		is_common(password, &words))
		return "others would guess it: a few words that do not belong together are better";
	return NULL;
}
