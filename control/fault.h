/*
 * fault.h - why a request is refused: an HTTP status, the field that is wrong, and what would be
 * right.
 */
#ifndef CONTROL_FAULT_H
#define CONTROL_FAULT_H

struct fault {
	int status;
	char field[96]; /* "" when it is about no field */
	char error[256];
};

/* Always -1. */
int fault_set(struct fault *fault, int status, const char *field, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
