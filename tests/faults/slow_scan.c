/*
 * slow_scan.c - preloaded into clamd: a file whose beginning says SLOW-SCAN takes two seconds, as
 * an archive might, but none of the machine's time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

struct cl_engine;
struct cl_scan_options;

typedef int scan(int, const char *, const char **, unsigned long *, const struct cl_engine *,
	struct cl_scan_options *, void *);

scan cl_scandesc_callback;

int
cl_scandesc_callback(int fd, const char *name, const char **virus, unsigned long *scanned,
	const struct cl_engine *engine, struct cl_scan_options *options, void *context)
{
	scan *real = (scan *)dlsym(RTLD_NEXT, "cl_scandesc_callback");
	char head[4096];
	ssize_t size = pread(fd, head, sizeof head, 0);

	if (size > 0 && memmem(head, (size_t)size, "SLOW-SCAN", 9))
		sleep(2);
	return real(fd, name, virus, scanned, engine, options, context);
}
