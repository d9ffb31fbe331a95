/*
 * domain_reports.h - the last report of each domain, in Redis: a copy that the next daily check
 * makes anew. All on the loop of `redis`.
 */
#ifndef CONTROL_WATCH_DOMAIN_REPORTS_H
#define CONTROL_WATCH_DOMAIN_REPORTS_H

#include <stddef.h>

#include <jansson.h>

struct redis;

/* Keeps a report, which names its domain, for 40 days. A report larger than 64 KB is not kept. */
void domain_report_keep(struct redis *redis, const char *account, const json_t *report);
/* Forgets the report of a domain that the account has no longer. */
void domain_report_drop(struct redis *redis, const char *account, const char *domain);

/* `reports` is the callee's: an array in the order of the names, null where there is none. When
 * Redis does not answer, all are null. */
typedef void (*domain_reports_cb)(void *arg, json_t *reports);
/* Reads the reports of some domains, an array of names, which may go after the call. */
void domain_reports_read(struct redis *redis, const char *account, const json_t *names,
	domain_reports_cb cb, void *arg);

#endif
