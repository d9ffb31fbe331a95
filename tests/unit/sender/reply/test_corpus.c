/*
 * test_corpus.c - some hundred replies of real mail hosts have the class and the scope that people
 * gave them; none that is not the mail's fault bounces, all that are the recipient's fault do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sender/reply/plain.h"
#include "sender/reply/replies.h"

#define COLUMNS 4
enum { HOST, CLASS, SCOPE, TEXT };

static struct replies *replies;

static int
start(void **state)
{
	char *why;

	(void)state;
	replies = replies_new(NULL, &why);
	if (!replies)
		print_error("%s", why);
	return replies ? 0 : -1;
}

static int
end(void **state)
{
	(void)state;
	replies_free(&replies);
	return 0;
}

static void
reactions_fit(char *const *columns, const struct reply_meaning *meaning)
{
	enum blame blame;
	char plain[PLAIN_MAX];

	plain_reply(plain, columns[TEXT], 0);
	assert_true(blame_find(columns[SCOPE], &blame));
	if (plain_code(plain) / 100 == 4 && (meaning->reactions.set & REACTION_BOUNCE))
		fail_msg("a 4xx bounces: %s", columns[TEXT]);
	if (blame_is_ours(blame) && (meaning->reactions.set & REACTION_BOUNCE))
		fail_msg("what blames us bounces: %s", columns[TEXT]);
	if (plain_code(plain) / 100 == 5 && blame == BLAME_RECIPIENT &&
		!(meaning->reactions.set & REACTION_BOUNCE))
		fail_msg("what blames the recipient waits: %s", columns[TEXT]);
}

/* Returns whether both are as people say. */
static bool
is_right(char *const *columns)
{
	const struct reply_said said = { columns[HOST], columns[TEXT], 0, STAGE_ANY };
	struct reply_meaning meaning;

	replies_mean(replies, &said, &meaning);
	reactions_fit(columns, &meaning);
	if (strcmp(meaning_name(meaning.class), columns[CLASS]) == 0 &&
		strcmp(blame_name(meaning.blame), columns[SCOPE]) == 0)
		return true;
	print_message("%s/%s by %s, not %s/%s: %s\n", meaning_name(meaning.class),
		blame_name(meaning.blame), meaning.rule, columns[CLASS], columns[SCOPE],
		columns[TEXT]);
	return false;
}

/* How many of a thousand are right. */
static unsigned
right_of(const char *path, unsigned *count_out)
{
	FILE *in = fopen(path, "r");
	char line[4096], *rest, *columns[COLUMNS];
	unsigned right = 0;

	assert_non_null(in);
	*count_out = 0;
	while (fgets(line, sizeof line, in)) {
		line[strcspn(line, "\n")] = '\0';
		rest = line;
		if (*line == '#')
			continue;
		for (int i = 0; i < COLUMNS; i++)
			assert_non_null(columns[i] = strsep(&rest, "\t"));
		right += is_right(columns);
		++*count_out;
	}
	fclose(in);
	return right * 1000 / *count_out;
}

static void
what_the_rules_were_written_for_is_right(void **state)
{
	unsigned count;

	(void)state;
	assert_int_equal(right_of("tests/replies/known.tsv", &count), 1000);
	assert_true(count > 300);
}

static void
nine_of_ten_that_were_written_down_after_the_rules_are_right(void **state)
{
	unsigned count;

	(void)state;
	assert_true(right_of("tests/replies/unseen.tsv", &count) >= 900);
	assert_true(count > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_rules_were_written_for_is_right),
		cmocka_unit_test(nine_of_ten_that_were_written_down_after_the_rules_are_right),
	};

	return cmocka_run_group_tests(tests, start, end);
}
