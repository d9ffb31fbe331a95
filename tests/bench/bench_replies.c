/*
 * bench_replies.c - what judging a reply by the response rules costs.
 *
 *   make build/tests/bench/bench_replies && build/tests/bench/bench_replies tests/replies/known.tsv
 *
 * Prints the CPU time: the mean over all replies of the files, of hosts with and without a
 * provider, and the slowest one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sender/reply/replies.h"
#include "shared/base/log.h"

#define ROUNDS 200
#define REPLIES_MAX 4096

struct sample {
	char *host, *text;
};

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static size_t
read_samples(const char *path, struct sample *samples, size_t count)
{
	FILE *in = fopen(path, "r");
	char line[4096], *rest;

	if (!in)
		die(path, "cannot be read");
	while (count < REPLIES_MAX && fgets(line, sizeof line, in)) {
		line[strcspn(line, "\n")] = '\0';
		rest = line;
		if (*line == '#' || !strchr(line, '\t'))
			continue;
		samples[count].host = xstrdup(strsep(&rest, "\t"));
		for (int i = 0; i < 2 && rest; i++)
			strsep(&rest, "\t");
		samples[count++].text = xstrdup(rest ? rest : "");
	}
	fclose(in);
	return count;
}

int
main(int argc, char **argv)
{
	static struct sample samples[REPLIES_MAX];
	double begin, took, all = 0, worst = 0;
	struct reply_meaning meaning;
	struct replies *replies;
	size_t count = 0, at = 0;
	char *why;

	for (int i = 1; i < argc; i++)
		count = read_samples(argv[i], samples, count);
	begin = now_us();
	replies = replies_new(NULL, &why);
	if (!replies || !count)
		die("bench_replies", "no rules, or no replies: name files of tests/replies");
	printf("%zu rules compiled and tried in %.1f ms\n", replies_built_in_count(replies),
		(now_us() - begin) / 1e3);
	for (size_t i = 0; i < count; i++) {
		const struct reply_said said = { samples[i].host, samples[i].text, 0, STAGE_ANY };

		begin = now_us();
		for (int round = 0; round < ROUNDS; round++)
			replies_mean(replies, &said, &meaning);
		took = (now_us() - begin) / ROUNDS;
		all += took;
		if (took > worst) {
			worst = took;
			at = i;
		}
	}
	printf("%zu replies: %.2f us each; the slowest %.2f us: %s\n", count, all / (double)count,
		worst, samples[at].text);
	replies_free(&replies);
	return 0;
}
