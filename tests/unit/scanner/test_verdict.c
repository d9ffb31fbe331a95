/*
 * test_verdict.c - what clamd's answers mean: only one of them is clean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scanner/verdict.h"

static const struct {
	const char *name, *answer;
	int result;
	unsigned number;
	enum verdict verdict;
	const char *signature;
} answers[] = {
	{ "clean", "1: stream: OK", 0, 1, VERDICT_CLEAN, "" },
	{ "a number of several digits", "4711: stream: OK", 0, 4711, VERDICT_CLEAN, "" },
	{ "infected", "12: stream: Eicar-Test FOUND", 0, 12, VERDICT_INFECTED, "Eicar-Test" },
	{ "a signature named OK", "12: stream: OK FOUND", 0, 12, VERDICT_INFECTED, "OK" },
	{ "an unofficial signature", "3: stream: Win.Test.X-1.UNOFFICIAL FOUND", 0, 3,
		VERDICT_INFECTED, "Win.Test.X-1.UNOFFICIAL" },
	{ "a limit was hit", "3: stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND", 0, 3,
		VERDICT_UNSCANNABLE, "Heuristics.Limits.Exceeded.MaxFileSize" },
	{ "a limit of mail was hit",
		"3: stream: Heuristics.Email.ExceedsMax.MIMEPartsPerMessage FOUND", 0, 3,
		VERDICT_UNSCANNABLE, "Heuristics.Email.ExceedsMax.MIMEPartsPerMessage" },
	{ "unwanted", "3: stream: PUA.Win.Tool.Packed-1 FOUND", 0, 3, VERDICT_UNWANTED,
		"PUA.Win.Tool.Packed-1" },
	{ "a virus whose name only begins alike", "3: stream: PUAX.Win FOUND", 0, 3,
		VERDICT_INFECTED, "PUAX.Win" },
	{ "a virus named PUA further on", "3: stream: Win.PUA.Test FOUND", 0, 3, VERDICT_INFECTED,
		"Win.PUA.Test" },
	{ "a macro", "3: stream: Heuristics.OLE2.ContainsMacros.VBA FOUND", 0, 3,
		VERDICT_SUSPICIOUS, "Heuristics.OLE2.ContainsMacros.VBA" },
	{ "an encrypted archive", "3: stream: Heuristics.Encrypted.Zip FOUND", 0, 3,
		VERDICT_SUSPICIOUS, "Heuristics.Encrypted.Zip" },
	{ "another heuristic is no infection",
		"3: stream: Heuristics.Phishing.Email.SpoofedDomain FOUND", 0, 3,
		VERDICT_SUSPICIOUS, "Heuristics.Phishing.Email.SpoofedDomain" },
	{ "the stream is too big", "3: INSTREAM size limit exceeded. ERROR", 0, 3,
		VERDICT_UNSCANNABLE, "INSTREAM size limit exceeded." },
	{ "an error with the stream's name", "3: stream: Can't allocate memory ERROR", 0, 3,
		VERDICT_ERROR, "Can't allocate memory" },
	{ "an error without it", "3: Error reading from client. ERROR", 0, 3, VERDICT_ERROR,
		"Error reading from client." },
	{ "a file that calls itself clean", "3: stream: x: OK", -1, 0, VERDICT_CLEAN, "" },
	{ "OK without a stream", "3: OK", -1, 0, VERDICT_CLEAN, "" },
	{ "OK with more behind it", "3: stream: OK ", -1, 0, VERDICT_CLEAN, "" },
	{ "ok in lower case", "3: stream: ok", -1, 0, VERDICT_CLEAN, "" },
	{ "FOUND without a name", "3: stream: FOUND", -1, 0, VERDICT_CLEAN, "" },
	{ "FOUND with an empty name", "3: stream:  FOUND", -1, 0, VERDICT_CLEAN, "" },
	{ "no colon behind the number", "3x stream: OK", -1, 0, VERDICT_CLEAN, "" },
	{ "FOUND without a stream", "3: x FOUND", -1, 0, VERDICT_CLEAN, "" },
	{ "no number", "stream: OK", -1, 0, VERDICT_CLEAN, "" },
	{ "a number too long", "1234567890: stream: OK", -1, 0, VERDICT_CLEAN, "" },
	{ "a number without a blank", "3:stream: OK", -1, 0, VERDICT_CLEAN, "" },
	{ "a negative number", "-3: stream: OK", -1, 0, VERDICT_CLEAN, "" },
	{ "a timeout", "COMMAND READ TIMED OUT", -1, 0, VERDICT_CLEAN, "" },
	{ "an unknown command", "UNKNOWN COMMAND", -1, 0, VERDICT_CLEAN, "" },
	{ "PONG", "1: PONG", -1, 0, VERDICT_CLEAN, "" },
	{ "nothing", "", -1, 0, VERDICT_CLEAN, "" },
	{ "a number alone", "3: ", -1, 0, VERDICT_CLEAN, "" },
	{ "control characters in a name", "3: stream: a\x1b[0m\nb FOUND", 0, 3, VERDICT_INFECTED,
		"a [0m b" },
};

static void
answers_are_verdicts_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		size_t length = strlen(answers[i].answer);
		char *copy = malloc(length ? length : 1), signature[64];
		enum verdict verdict = VERDICT_ERROR;
		unsigned number;
		int result;

		memcpy(copy, answers[i].answer, length);
		result = verdict_parse(
			copy, length, &number, &verdict, signature, sizeof signature);
		if ((result < 0) != (answers[i].result < 0))
			fail_msg("%s", answers[i].name);
		if (result == 0 &&
			(number != answers[i].number || verdict != answers[i].verdict ||
				strcmp(signature, answers[i].signature) != 0))
			fail_msg("%s: %u %d %s", answers[i].name, number, verdict, signature);
		free(copy);
	}
}

/* Whatever is missing at the end, nothing infected turns clean. */
static void
no_cut_answer_is_clean(void **state)
{
	char signature[64];
	enum verdict verdict;
	unsigned number;

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		size_t length = strlen(answers[i].answer);

		for (size_t cut = 0; cut < length; cut++)
			if (verdict_parse(answers[i].answer, cut, &number, &verdict, signature,
				    sizeof signature) == 0 &&
				verdict == VERDICT_CLEAN &&
				strcmp(answers[i].name, "a signature named OK") != 0 &&
				strcmp(answers[i].name, "OK with more behind it") != 0)
				fail_msg("%s, cut at %zu", answers[i].name, cut);
	}
}

static void
a_long_signature_is_cut(void **state)
{
	char signature[5];
	enum verdict verdict;
	unsigned number;

	(void)state;
	assert_int_equal(verdict_parse("1: stream: Eicar FOUND", 22, &number, &verdict, signature,
				 sizeof signature),
		0);
	assert_string_equal(signature, "Eica");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_verdicts_or_refused),
		cmocka_unit_test(no_cut_answer_is_clean),
		cmocka_unit_test(a_long_signature_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
