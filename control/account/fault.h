/*
 * fault.h - why a request is refused: an HTTP status, the wrong field, and what would be right.
 */
#ifndef CONTROL_FAULT_H
#define CONTROL_FAULT_H

#include <stdbool.h>

#include <jansson.h>

#define FAULT_FIELD_MAX 96
#define FAULT_ERROR_MAX 256

struct fault {
	int status;
	char field[FAULT_FIELD_MAX]; /* "": the fault is about no field */
	char error[FAULT_ERROR_MAX]; /* field and error may be cut within a character */
};

/* Always -1. */
int fault_set(struct fault *fault, int status, const char *field, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Always -1. Prefixes the fault's field with `in`. */
int fault_in(struct fault *fault, const char *in);

enum field_type { FIELD_TEXT, FIELD_NUMBER, FIELD_LIMIT, FIELD_SWITCH, FIELD_LIST, FIELD_OBJECT };

struct field {
	const char *name;
	enum field_type type;
};

/* Checks that `body` is an object (or absent) whose fields are all known (`known` ends with a NULL
 * name) and of their types. An unknown field would be a wish that is granted and not done. `in`
 * names the object in the fault; NULL: the object is the whole body. 0, or -1 and the fault. */
int
fields_check(struct fault *fault, const json_t *body, const struct field *known, const char *in);

#endif
