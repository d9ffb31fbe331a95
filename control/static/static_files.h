/*
 * static_files.h - the files of the panel, read once into a table. A request is a look-up in it, so
 * that no path of a client ever reaches the file system.
 */
#ifndef CONTROL_STATIC_FILES_H
#define CONTROL_STATIC_FILES_H

#include <stdbool.h>
#include <stddef.h>

#define STATIC_FILES_MAX 256               /* in all folders */
#define STATIC_FILE_SIZE_MAX (1024 * 1024) /* bytes of one file */
#define STATIC_DEPTH_MAX 4                 /* folders in folders */
#define STATIC_TAG_SIZE 72

struct static_form {
	unsigned char *bytes;
	size_t size;
	char tag[STATIC_TAG_SIZE]; /* the ETag (RFC 9110 8.8.3), with its quotes: SHA-256 */
};

struct static_file {
	char *name;       /* "lib/dom.js", without a slash at its beginning */
	const char *type; /* for Content-Type */
	struct static_form plain;
	struct static_form gzip; /* bytes NULL: it would not be smaller */
};

struct static_files;

/* Reads all files of a directory. Names that begin with a dot are left out. NULL, with the reason
 * in `why`: the directory or a file cannot be read, a file is of no type that a browser is told, is
 * no regular file (a symbolic link is none), or a bound above is passed. */
struct static_files *static_files_read(const char *directory, char *why, size_t why_size);
/* Takes NULL. */
void static_files_free(struct static_files **files);
/* The file of exactly that name; NULL: there is none. */
const struct static_file *static_files_find(const struct static_files *files, const char *name);
/* Whether the name ends like a file of the table, not like a page: "lib/none.js". Pure. */
bool static_name_is_file(const char *name);

#endif
