/*
 * day_name.c - which day a message belongs to.
 *
 * A message's id begins with the time of its acceptance, so the id alone names the day.
 */
#include "control/trace/day_name.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/date.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

uint64_t
id_time_us(const uint8_t id[ID_SIZE])
{
	uint64_t ms = 0;

	for (size_t i = 0; i < 6; i++)
		ms = ms << 8 | id[i];
	return ms * 1000;
}

void
id_at(uint64_t us, uint8_t id[ID_SIZE])
{
	uint64_t ms = us / 1000;

	memset(id, 0, ID_SIZE);
	for (size_t i = 6; i-- > 0; ms >>= 8)
		id[i] = (uint8_t)ms;
	if (ms)
		memset(id, 0xff, 6);
}

void
day_name_at(uint64_t us, char name[DAY_NAME_SIZE])
{
	const time_t seconds = (time_t)(us / 1000000);
	struct tm tm;

	memset(name, '9', DAY_NAME_SIZE - 1);
	name[DAY_NAME_SIZE - 1] = '\0';
	if (gmtime_r(&seconds, &tm) && tm.tm_year < 8100)
		strftime(name, DAY_NAME_SIZE, "%Y%m%d", &tm);
}

void
day_name(const uint8_t id[ID_SIZE], char name[DAY_NAME_SIZE])
{
	day_name_at(id_time_us(id), name);
}

uint64_t
day_begin_us(const char *name)
{
	char text[16], again[DAY_NAME_SIZE];
	uint64_t us;

	if (strlen(name) != DAY_NAME_SIZE - 1 || strspn(name, "0123456789") != DAY_NAME_SIZE - 1)
		return 0;
	snprintf(text, sizeof text, "%.4s-%.2s-%.2s", name, name + 4, name + 6);
	if (date_read(text, 0, &us) < 0)
		return 0;
	day_name_at(us, again);
	return strcmp(name, again) == 0 ? us : 0;
}

static int
is_day(const struct dirent *entry)
{
	char name[DAY_NAME_SIZE];

	text_copy(name, sizeof name, entry->d_name);
	return strlen(entry->d_name) == DAY_NAME_SIZE - 1 + 3 && day_begin_us(name) &&
		strcmp(entry->d_name + DAY_NAME_SIZE - 1, ".db") == 0;
}

json_t *
days_list(const char *directory)
{
	struct dirent **entries;
	json_t *days = json_array();
	const int count = scandir(directory, &entries, is_day, alphasort);

	for (int i = 0; i < count; i++) {
		json_array_append_new(days, json_stringn(entries[i]->d_name, DAY_NAME_SIZE - 1));
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return days;
}

static char *
file_of(const char *directory, const char *name, const char *ending)
{
	return xasprintf("%s/%s.%s", directory, name, ending);
}

static void
remove_file(const char *directory, const char *name, const char *ending)
{
	char *path = file_of(directory, name, ending);

	unlink(path);
	free(path);
}

void
day_unlink(const char *directory, const char *name)
{
	static const char *const endings[] = { "db", "db-wal", "db-shm", "db.broken" };

	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
		remove_file(directory, name, endings[i]);
}

void
day_set_aside(const char *directory, const char *name)
{
	char *from = file_of(directory, name, "db"), *to = file_of(directory, name, "db.broken");

	rename(from, to);
	remove_file(directory, name, "db-wal");
	remove_file(directory, name, "db-shm");
	free(from);
	free(to);
}
