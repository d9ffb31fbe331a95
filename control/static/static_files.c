/*
 * static_files.c - reads the panel's folder, and finds a file by its name.
 *
 * control/panel/ -> [static_files] -> api_panel
 *
 * The table is read before the process gives up its rights, sorted by name, and never changes. Each
 * file is compressed once, at the highest level.
 */
#include "control/static/static_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <zlib.h>

#include "shared/base/log.h"

struct static_files {
	struct static_file *list;
	size_t count;
	char *why;
	size_t why_size;
};

static const struct {
	const char *suffix, *type;
} types[] = {
	{ ".html", "text/html; charset=utf-8" },
	{ ".css", "text/css; charset=utf-8" },
	{ ".js", "text/javascript; charset=utf-8" },
	{ ".json", "application/json" },
	{ ".svg", "image/svg+xml" },
	{ ".png", "image/png" },
	{ ".txt", "text/plain; charset=utf-8" },
};

static const char *
type_of(const char *name)
{
	const char *suffix = strrchr(name, '.');

	for (size_t i = 0; suffix && i < sizeof types / sizeof *types; i++)
		if (strcmp(suffix, types[i].suffix) == 0)
			return types[i].type;
	return NULL;
}

bool
static_name_is_file(const char *name)
{
	return type_of(name) != NULL;
}

/* Reading */

static int
fail(struct static_files *files, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int
fail(struct static_files *files, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(files->why, files->why_size, format, args);
	va_end(args);
	return -1;
}

/* `mark` tells the forms of one file apart: a tag is of one sequence of bytes. */
static void
make_tag(struct static_form *form, const char *mark)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned length = 0;
	char *at = form->tag;

	if (EVP_Digest(form->bytes, form->size, sum, &length, EVP_sha256(), NULL) != 1)
		die("no SHA-256", "EVP_Digest");
	*at++ = '"';
	for (unsigned i = 0; i < length; i++, at += 2)
		snprintf(at, 3, "%02x", sum[i]);
	snprintf(at, STATIC_TAG_SIZE - (size_t)(at - form->tag), "%s\"", mark);
}

static void
compress_file(struct static_file *file)
{
	z_stream z = { .next_in = file->plain.bytes, .avail_in = (uInt)file->plain.size };
	struct static_form *form = &file->gzip;
	uLong bound;

	if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) !=
		Z_OK)
		die("out of memory", "deflateInit2");
	bound = deflateBound(&z, z.avail_in);
	z.next_out = form->bytes = xmalloc(bound);
	z.avail_out = (uInt)bound;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		die("cannot compress", "deflate");
	form->size = z.total_out;
	deflateEnd(&z);
	if (form->size < file->plain.size) {
		make_tag(form, "-gz");
		return;
	}
	free(form->bytes);
	*form = (struct static_form){ 0 };
}

/* Reads `size` bytes; false when there are fewer, or more. */
static bool
read_all(int fd, unsigned char *out, size_t size)
{
	size_t at = 0;
	ssize_t got;

	while ((got = read(fd, out + at, size + 1 - at)) > 0 && at + (size_t)got <= size)
		at += (size_t)got;
	return got == 0 && at == size;
}

/* Takes `name` over. */
static int
add_file(struct static_files *files, int fd, char *name, size_t size)
{
	struct static_file file = { .name = name, .type = type_of(name) };

	if (!file.type)
		fail(files, "%s: a browser is told no type for such a name", name);
	else if (size > STATIC_FILE_SIZE_MAX)
		fail(files, "%s: it has more than %d bytes", name, STATIC_FILE_SIZE_MAX);
	else if (files->count == STATIC_FILES_MAX)
		fail(files, "%s: there are more than %d files", name, STATIC_FILES_MAX);
	else {
		file.plain.size = size;
		file.plain.bytes = xmalloc(size + 1);
		if (read_all(fd, file.plain.bytes, size)) {
			make_tag(&file.plain, "");
			compress_file(&file);
			files->list = xrealloc(
				files->list, (files->count + 1) * sizeof *files->list);
			files->list[files->count++] = file;
			return 0;
		}
		fail(files, "%s: it cannot be read, or changes", name);
		free(file.plain.bytes);
	}
	free(name);
	return -1;
}

static int read_folder(struct static_files *files, int fd, const char *prefix, unsigned depth);

static int
add_entry(struct static_files *files, int folder, const char *entry, const char *prefix,
	unsigned depth)
{
	char *name = xasprintf("%s%s", prefix, entry), *below;
	const int fd = openat(folder, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat status;
	int err;

	if (fd < 0 || fstat(fd, &status) < 0)
		err = fail(files, "%s: %s", name,
			errno == ELOOP ? "a symbolic link is not followed" : strerror(errno));
	else if (S_ISDIR(status.st_mode)) {
		below = xasprintf("%s/", name);
		err = read_folder(files, fd, below, depth + 1); /* closes it */
		free(below);
		free(name);
		return err;
	} else if (S_ISREG(status.st_mode)) {
		err = add_file(files, fd, name, (size_t)status.st_size);
		name = NULL;
	} else
		err = fail(files, "%s: it is no regular file", name);
	if (fd >= 0)
		close(fd);
	free(name);
	return err;
}

/* Takes `fd` over. */
static int
read_folder(struct static_files *files, int fd, const char *prefix, unsigned depth)
{
	DIR *folder = depth > STATIC_DEPTH_MAX ? NULL : fdopendir(fd);
	const struct dirent *entry;
	int err = 0;

	if (!folder) {
		close(fd);
		return fail(files, "%s: folders lie too deep, or it cannot be read", prefix);
	}
	while (!err && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			err = add_entry(files, fd, entry->d_name, prefix, depth);
	closedir(folder);
	return err;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct static_file *)a)->name, ((const struct static_file *)b)->name);
}

struct static_files *
static_files_read(const char *directory, char *why, size_t why_size)
{
	struct static_files *files = xcalloc(1, sizeof *files);
	const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	files->why = why;
	files->why_size = why_size;
	if (fd < 0)
		fail(files, "%s", strerror(errno));
	else if (read_folder(files, fd, "", 0) == 0) {
		if (files->count)
			qsort(files->list, files->count, sizeof *files->list, by_name);
		if (static_files_find(files, "index.html"))
			return files;
		fail(files, "it has no index.html");
	}
	static_files_free(&files);
	return NULL;
}

void
static_files_free(struct static_files **files)
{
	if (!*files)
		return;
	for (size_t i = 0; i < (*files)->count; i++) {
		free((*files)->list[i].name);
		free((*files)->list[i].plain.bytes);
		free((*files)->list[i].gzip.bytes);
	}
	free((*files)->list);
	free(*files);
	*files = NULL;
}

const struct static_file *
static_files_find(const struct static_files *files, const char *name)
{
	size_t low = 0, high = files->count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		const int order = strcmp(name, files->list[middle].name);

		if (order == 0)
			return &files->list[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}
