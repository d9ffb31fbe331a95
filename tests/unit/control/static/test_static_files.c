/*
 * test_static_files.c - the panel's files: what is read, what is refused, and what a browser gets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "control/static/static_files.h"
#include "control/static/static_wants.h"
#include "shared/base/log.h"

static char folder[] = "/tmp/shout-static-XXXXXX";
static char why[256];

static void
write_bytes(const char *name, const void *bytes, size_t size)
{
	char *path = xasprintf("%s/%s", folder, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	fclose(file);
	free(path);
}

static void
write_file(const char *name, const char *text)
{
	write_bytes(name, text, strlen(text));
}

static void
make_folder(const char *name)
{
	char *path = xasprintf("%s/%s", folder, name);

	assert_int_equal(mkdir(path, 0700), 0);
	free(path);
}

static int
begin(void **state)
{
	(void)state;
	memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
	if (!mkdtemp(folder))
		return -1;
	write_file("index.html", "<!doctype html>");
	return 0;
}

static int
end(void **state)
{
	char *command = xasprintf("rm -r '%s'", folder);
	const int status = system(command);

	(void)state;
	free(command);
	return status;
}

static struct static_files *
read_files(void)
{
	struct static_files *files = static_files_read(folder, why, sizeof why);

	if (!files)
		fail_msg("%s", why);
	return files;
}

static void
refuses(const char *reason)
{
	struct static_files *files = static_files_read(folder, why, sizeof why);

	assert_null(files);
	if (!strstr(why, reason))
		fail_msg("\"%s\" is not in \"%s\"", reason, why);
}

static void
a_file_is_found_by_its_exact_name_only(void **state)
{
	static const char *const wrong[] = { "", "/", "index.htm", "index.html/", "INDEX.HTML",
		"./index.html", "lib", "lib/", "lib//dom.js", "lib/../index.html", "../index.html",
		"lib/dom.js\n" };
	struct static_files *files;

	(void)state;
	make_folder("lib");
	write_file("lib/dom.js", "export const h = 1;\n");
	write_file("lib/api.js", "");
	files = read_files();
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_null(static_files_find(files, wrong[i]));
	assert_string_equal(static_files_find(files, "lib/dom.js")->plain.bytes
			? static_files_find(files, "lib/dom.js")->type
			: "",
		"text/javascript; charset=utf-8");
	assert_int_equal(static_files_find(files, "lib/api.js")->plain.size, 0);
	assert_int_equal(static_files_find(files, "index.html")->plain.size, 15);
	static_files_free(&files);
}

static void
what_is_compressed_is_the_file_and_smaller(void **state)
{
	static unsigned char text[10000], out[sizeof text];
	z_stream z = { .next_out = out, .avail_out = sizeof out };
	const struct static_file *file;
	struct static_files *files;

	(void)state;
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (unsigned char)('a' + i * i % 23);
	write_bytes("long.js", text, sizeof text);
	files = read_files();
	file = static_files_find(files, "long.js");
	assert_true(file->gzip.size > 0 && file->gzip.size < sizeof text);
	z.next_in = file->gzip.bytes;
	z.avail_in = (uInt)file->gzip.size;
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	inflateEnd(&z);
	assert_int_equal(z.total_out, sizeof text);
	assert_memory_equal(out, text, sizeof text);
	assert_null(static_files_find(files, "index.html")->gzip.bytes);
	static_files_free(&files);
}

static void
a_tag_is_the_sha256_of_the_bytes_and_of_one_form(void **state)
{
	struct static_files *files;
	const struct static_file *file;

	(void)state;
	write_file("a.txt", "abc");
	write_file("long.txt", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	files = read_files();
	assert_string_equal(static_files_find(files, "a.txt")->plain.tag,
		"\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"");
	file = static_files_find(files, "long.txt");
	assert_non_null(file->gzip.bytes);
	assert_string_not_equal(file->plain.tag, file->gzip.tag);
	static_files_free(&files);
}

static void
what_cannot_be_served_as_it_is_is_refused(void **state)
{
	static unsigned char big[STATIC_FILE_SIZE_MAX + 1];
	char *path = xasprintf("%s/leak.txt", folder);

	(void)state;
	assert_int_equal(symlink("/etc/passwd", path), 0);
	refuses("leak.txt: a symbolic link");
	unlink(path);
	write_file("program.exe", "MZ");
	refuses("program.exe: a browser is told no type");
	free(path);
	path = xasprintf("%s/program.exe", folder);
	unlink(path);
	free(path);
	write_bytes("big.txt", big, sizeof big);
	refuses("big.txt: it has more than 1048576 bytes");
	path = xasprintf("%s/big.txt", folder);
	assert_int_equal(truncate(path, STATIC_FILE_SIZE_MAX), 0);
	free(path);
	path = xasprintf("%s/pipe.txt", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	refuses("pipe.txt: it is no regular file");
	unlink(path);
	free(path);
	write_file(".hidden", "not shown");
	{
		struct static_files *files = read_files();

		assert_null(static_files_find(files, ".hidden"));
		static_files_free(&files);
	}
}

static void
a_folder_has_bounds_and_an_index(void **state)
{
	char name[64] = "", *path = xasprintf("%s/index.html", folder);

	(void)state;
	for (int i = 0; i <= STATIC_DEPTH_MAX; i++) {
		size_t length = strlen(name);

		snprintf(name + length, sizeof name - length, "%s", i ? "/d" : "d");
		make_folder(name);
	}
	refuses("too deep");
	for (int i = 0; i <= STATIC_DEPTH_MAX;
		i++, name[strlen(name) - 2 * !!strchr(name, '/')] = 0) {
		char *deep = xasprintf("%s/%s", folder, name);

		rmdir(deep);
		free(deep);
	}
	for (int i = 1; i < STATIC_FILES_MAX; i++) {
		snprintf(name, sizeof name, "%d.txt", i);
		write_file(name, name);
	}
	{
		struct static_files *files = read_files();

		for (int i = 1; i < STATIC_FILES_MAX; i++) {
			snprintf(name, sizeof name, "%d.txt", i);
			assert_non_null(static_files_find(files, name));
		}
		static_files_free(&files);
	}
	unlink(path);
	refuses("it has no index.html");
	write_file("index.html", "");
	write_file("one-more.txt", "");
	refuses("there are more than 256 files");
	free(path);
	assert_null(static_files_read("/nowhere", why, sizeof why));
	assert_string_equal(why, "No such file or directory");
}

static void
gzip_is_taken_when_it_is_said(void **state)
{
	static const struct {
		const char *field;
		bool takes;
	} rows[] = {
		{ NULL, false },
		{ "", false },
		{ "gzip", true },
		{ "GZIP", true },
		{ "gzip, deflate, br", true },
		{ "br,gzip;q=0.5", true },
		{ "gzip;q=0", false },
		{ "gzip; q=0.000", false },
		{ "*", true },
		{ "*;q=0", false },
		{ "gzip;q=0, *", false },
		{ "gzipped", false },
		{ "identity", false },
		{ "gzip;q=x", false },
		{ "gzip;q=0.0001", false },
		{ "gzip;q=1.001", false },
		{ "gzip;", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (static_takes_gzip(rows[i].field) != rows[i].takes)
			fail_msg("%s", rows[i].field);
}

static void
a_tag_is_compared_weakly(void **state)
{
	(void)state;
	assert_false(static_tag_matches(NULL, "\"a\""));
	assert_false(static_tag_matches("", "\"a\""));
	assert_true(static_tag_matches("\"a\"", "\"a\""));
	assert_true(static_tag_matches("W/\"a\"", "\"a\""));
	assert_true(static_tag_matches("\"b\" , W/\"a\"", "\"a\""));
	assert_true(static_tag_matches("*", "\"a\""));
	assert_false(static_tag_matches("\"ab\"", "\"a\""));
	assert_false(static_tag_matches("a", "\"a\""));
}

static void
the_language_is_the_cookies_then_the_browsers(void **state)
{
	static const struct {
		const char *cookie, *accept, *language;
	} rows[] = {
		{ NULL, NULL, "en" },
		{ NULL, "it-IT,it;q=0.9,en;q=0.8", "it" },
		{ NULL, "de,en-GB;q=0.7,it;q=0.8", "it" },
		{ NULL, "de, fr", "en" },
		{ NULL, "it;q=0, en;q=0.1", "en" },
		{ NULL, "item", "en" },
		{ "language=it", "en", "it" },
		{ "shout=x; language=en; theme=dark", "it", "en" },
		{ "language=", "it", "it" },
		{ "language=de", "it", "it" },
		{ "mylanguage=it", "en", "en" },
		{ "language=it/../../etc/passwd", "en", "en" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(
			static_language(rows[i].cookie, rows[i].accept), rows[i].language);
}

static void
a_page_is_wanted_by_browsers_not_by_curl(void **state)
{
	(void)state;
	assert_true(static_wants_page("text/html,application/xhtml+xml,*/*;q=0.8"));
	assert_false(static_wants_page("*/*"));
	assert_false(static_wants_page("application/json"));
	assert_false(static_wants_page("text/html;q=0, */*"));
	assert_false(static_wants_page(NULL));
}

static void
a_name_of_a_file_is_told_from_a_page(void **state)
{
	(void)state;
	assert_true(static_name_is_file("pages/none.js"));
	assert_true(static_name_is_file("x.css"));
	assert_false(static_name_is_file("domains/acme.example"));
	assert_false(static_name_is_file("messages"));
	assert_false(static_name_is_file(""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_is_found_by_its_exact_name_only, begin, end),
		cmocka_unit_test_setup_teardown(
			what_is_compressed_is_the_file_and_smaller, begin, end),
		cmocka_unit_test_setup_teardown(
			a_tag_is_the_sha256_of_the_bytes_and_of_one_form, begin, end),
		cmocka_unit_test_setup_teardown(
			what_cannot_be_served_as_it_is_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(a_folder_has_bounds_and_an_index, begin, end),
		cmocka_unit_test(gzip_is_taken_when_it_is_said),
		cmocka_unit_test(a_tag_is_compared_weakly),
		cmocka_unit_test(the_language_is_the_cookies_then_the_browsers),
		cmocka_unit_test(a_page_is_wanted_by_browsers_not_by_curl),
		cmocka_unit_test(a_name_of_a_file_is_told_from_a_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
