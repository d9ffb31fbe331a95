/*
 * test_view.c - whose accounts Redis holds, and what control may do about it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/config/view.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void
nothing_is_written_over_what_is_not_ours(void **state)
{
	static const struct {
		const char *what;
		struct view view;   /* owner, accounts, complete, time, marked by */
		struct truth truth; /* owner, accounts, the view's owner is theirs */
		enum view_verdict verdict;
	} rows[] = {
		{ "a new relay", { "", false, false, 0, "" }, { "", false, false }, VIEW_FILL },
		{ "and a second later", { "", false, true, 1, "" }, { "", false, false },
			VIEW_GOOD },
		{ "as usual", { A, true, true, 1, A }, { A, true, true }, VIEW_GOOD },
		{ "flushed", { "", false, false, 0, "" }, { A, true, false }, VIEW_FILL },
		{ "half filled", { A, true, false, 0, "" }, { A, true, true }, VIEW_FILL },
		{ "first account", { "", false, true, 1, "" }, { A, true, false }, VIEW_FILL },
		{ "an older build wrote", { A, true, true, 1, "" }, { A, true, true }, VIEW_FILL },
		{ "an older build erased", { A, false, true, 1, "" }, { A, true, true },
			VIEW_FILL },
		{ "another one marked", { A, true, true, 1, B }, { A, true, true }, VIEW_FILL },
		{ "upgrade", { "", true, true, 1, "" }, { A, true, false }, VIEW_FILL },
		{ "upgrade, no owner yet", { "", true, true, 1, "" }, { "", true, false },
			VIEW_UNOWNED },
		{ "no owner, flushed", { "", false, false, 0, "" }, { "", true, false },
			VIEW_UNOWNED },
		{ "two controls made an owner", { A, true, true, 1, A }, { B, true, true },
			VIEW_FILL },
		{ "second relay, empty", { A, true, true, 1, A }, { "", false, false },
			VIEW_FOREIGN },
		{ "second relay, with accounts", { A, true, true, 1, A }, { B, true, false },
			VIEW_FOREIGN },
		{ "taken over, empty", { B, false, true, 1, B }, { A, true, false }, VIEW_FOREIGN },
		{ "taken over, half filled", { B, false, false, 0, "" }, { A, true, false },
			VIEW_FOREIGN },
		{ "accounts without an owner", { A, true, true, 1, A }, { "", true, false },
			VIEW_FOREIGN },
		{ "relay.config lost its accounts", { A, true, true, 1, A }, { A, false, true },
			VIEW_ORPHAN },
		{ "empty, under an older build's", { "", true, true, 1, "" }, { "", false, false },
			VIEW_ORPHAN },
		{ "the same, not complete", { "", true, false, 0, "" }, { A, false, false },
			VIEW_ORPHAN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (view_judge(&rows[i].view, &rows[i].truth) != rows[i].verdict)
			fail_msg("%s: %d", rows[i].what,
				(int)view_judge(&rows[i].view, &rows[i].truth));
}

static void
a_marker_names_its_time_and_owner(void **state)
{
	static const struct {
		const char *marker;
		uint64_t us;
		const char *by;
	} rows[] = {
		{ "1796049881941541 " A, 1796049881941541, A },
		{ "1", 1, "" },
		{ "", 0, "" },
		{ "soon", 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct view view = { .owner = "" };

		view_take_marker(&view, rows[i].marker);
		assert_true(view.complete);
		assert_int_equal(view.marked_us, rows[i].us);
		assert_string_equal(view.marked_by, rows[i].by);
	}
}

static void
the_text_names_both_owners_and_the_way_out(void **state)
{
	const struct view view = { .owner = A, .accounts = true };
	const struct truth other = { .owner = B, .accounts = true }, empty = { .owner = B };
	char text[VIEW_TEXT_MAX + 1];

	(void)state;
	view_explain(&view, &other, text);
	assert_non_null(strstr(text, "owner " A));
	assert_non_null(strstr(text, "owner " B));
	assert_null(strstr(text, "mounted"));
	view_explain(&view, &empty, text);
	assert_non_null(strstr(text, "is state_dir mounted?"));
	assert_non_null(strstr(text, "\"shoutctl rebuild --take-over\" replaces them"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_written_over_what_is_not_ours),
		cmocka_unit_test(a_marker_names_its_time_and_owner),
		cmocka_unit_test(the_text_names_both_owners_and_the_way_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
