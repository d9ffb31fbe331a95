/*
 * problem.h - what a refusal is called: the "type" and the "title" of problem+json (RFC 9457).
 * Pure.
 */
#ifndef SHARED_PROBLEM_H
#define SHARED_PROBLEM_H

struct problem {
	int status;        /* of HTTP */
	const char *type;  /* "/problems/not-found": programs and pages tell refusals apart by it */
	const char *title; /* of HTTP */
};

#define PROBLEM_TYPE "application/problem+json"

/* The problem that a status stands for, unless more is known. */
const struct problem *problem_of(int status);

#endif
