/* What was said last about mail, in a word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/mail/reply_class.h"

static void
texts_have_classes(void **state)
{
	static const struct {
		const char *text, *class;
	} table[] = {
		{ "451 4.7.1 greylisted", "4.7.x" },
		{ "451-4.7.1 greylisted", "4.7.x" },
		{ "550 5.1.1", "5.1.x" },
		{ "421 busy", "4xx" },
		{ "421", "4xx" },
		{ "550 5.9.9 odd", "5xx" },
		{ "550 5.", "5xx" },
		{ "4510 times", "ours" },
		{ "Connection refused", "ours" },
		{ "", "ours" },
	};
	char class[REPLY_CLASS_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		class_of_text(class, table[i].text);
		assert_string_equal(class, table[i].class);
	}
}

static void
the_code_decides_where_both_are_told(void **state)
{
	char class[REPLY_CLASS_MAX];

	(void)state;
	class_of_reply(class, 450, "5.2.2");
	assert_string_equal(class, "4.2.x");
	class_of_reply(class, 0, "4.2.2");
	assert_string_equal(class, "lost");
}

static void
a_row_says_what_was_said_last(void **state)
{
	Row row = ROW__INIT;
	char class[REPLY_CLASS_MAX];

	(void)state;
	class_of_row(class, &row);
	assert_string_equal(class, "never");
	row.last_reply = (char *)"451 4.4.1 later"; /* of an older build */
	class_of_row(class, &row);
	assert_string_equal(class, "4.4.x");
	row.last_class = (char *)"connect";
	class_of_row(class, &row);
	assert_string_equal(class, "connect");
	row.state = ROW__STATE__HELD;
	class_of_row(class, &row);
	assert_string_equal(class, "held");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_have_classes),
		cmocka_unit_test(the_code_decides_where_both_are_told),
		cmocka_unit_test(a_row_says_what_was_said_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
