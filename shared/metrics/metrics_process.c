/*
 * metrics_process.c - what Prometheus expects of any process (process_*), the build, and the free
 * room of the disk. Each value is read when the page is.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/version.h"
#include "shared/metrics/metrics.h"

static double
seconds(const struct timeval *tv)
{
	return (double)tv->tv_sec + (double)tv->tv_usec / 1e6;
}

static double
read_cpu(void *arg)
{
	struct rusage usage;

	(void)arg;
	if (getrusage(RUSAGE_SELF, &usage) < 0)
		return NAN;
	return seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
}

static double
read_resident(void *arg)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages;
	int got = file ? fscanf(file, "%*u %lu", &pages) : 0;

	(void)arg;
	if (file)
		fclose(file);
	return got == 1 ? (double)pages * (double)sysconf(_SC_PAGESIZE) : NAN;
}

static double
read_open_files(void *arg)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	(void)arg;
	if (!dir)
		return NAN;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 3; /* ".", ".." and the descriptor of the directory are not counted */
}

static double
read_max_files(void *arg)
{
	struct rlimit limit;

	(void)arg;
	return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? NAN : (double)limit.rlim_cur;
}

static double
read_disk_free(void *arg)
{
	struct statvfs disk;

	return statvfs(arg, &disk) < 0 ? NAN : (double)disk.f_bavail * (double)disk.f_frsize;
}

static double
read_disk_size(void *arg)
{
	struct statvfs disk;

	return statvfs(arg, &disk) < 0 ? NAN : (double)disk.f_blocks * (double)disk.f_frsize;
}

static void
register_process(void)
{
	metric_ask(metric_counter("process_cpu_seconds_total",
			   "User and system time of the process", NULL),
		read_cpu, NULL);
	metric_ask(metric_gauge("process_resident_memory_bytes", "Resident memory", NULL),
		read_resident, NULL);
	metric_ask(metric_gauge("process_open_fds", "Open files", NULL), read_open_files, NULL);
	metric_ask(metric_gauge("process_max_fds", "How many files may be open", NULL),
		read_max_files, NULL);
	metric_set(metric_gauge("process_start_time_seconds",
			   "When the process started, seconds since 1970", NULL),
		(int64_t)(clock_us() / 1000000));
}

void
metrics_process(const char *backend, const char *state_dir)
{
	char labels[METRIC_LABELS_MAX] = "";
	char *path = xstrdup(state_dir); /* lives as long as the metrics */

	metric_label(labels, "version", SHOUT_VERSION);
	metric_label(labels, "backend", backend);
	metric_set(
		metric_gauge("shout_build_info", "1; the labels say which build this is", labels),
		1);
	metric_ask(metric_gauge("shout_disk_free_bytes", "Room on the disk of state_dir", NULL),
		read_disk_free, path);
	metric_ask(metric_gauge("shout_disk_size_bytes", "Size of the disk of state_dir", NULL),
		read_disk_size, path);
	register_process();
}
