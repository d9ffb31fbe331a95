/*
 * date.c - dates as text. The tables are our own, because strftime() follows the locale.
 */
#include "shared/base/date.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/base/text.h"

void
date_format(uint64_t us, char out[DATE_SIZE])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t seconds = (time_t)(us / 1000000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	snprintf(out, DATE_SIZE, "%.3s, %d %.3s %d %02d:%02d:%02d +0000", days + 3 * tm.tm_wday,
		tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
		tm.tm_sec);
}

void
date_iso(uint64_t us, char out[DATE_SIZE])
{
	time_t seconds = (time_t)(us / 1000000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	snprintf(out, DATE_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", tm.tm_year + 1900,
		tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		(unsigned)(us / 1000 % 1000));
}

/* Two digits in [0, max] behind the character `before`. NULL: the text does not continue so. */
static const char *
take_two(const char *text, char before, int max, int *out)
{
	if (!text || *text != before || !is_digit(text[1]) || !is_digit(text[2]))
		return NULL;
	*out = (text[1] - '0') * 10 + text[2] - '0';
	return *out <= max ? text + 3 : NULL;
}

/* ":05", ":05.123", or nothing. */
static const char *
take_seconds(const char *text, struct tm *tm, uint64_t *us)
{
	uint64_t unit = 100000;

	*us = 0;
	if (!text || *text != ':')
		return text;
	text = take_two(text, ':', 60, &tm->tm_sec);
	if (!text || *text != '.' || !is_digit(text[1]))
		return text;
	for (text++; is_digit(*text); text++, unit /= 10)
		*us += unit * (uint64_t)(*text - '0');
	return text;
}

/* "Z" or "+02:00"; nothing means UTC. */
static const char *
take_zone(const char *text, int64_t *offset_s)
{
	const char sign = text ? *text : '\0';
	int hours = 0, minutes = 0;

	*offset_s = 0;
	if (sign == 'Z')
		return text + 1;
	if (sign != '+' && sign != '-')
		return text;
	text = take_two(text, sign, 23, &hours);
	text = take_two(text, ':', 59, &minutes);
	*offset_s = (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	return text;
}

/* "2026-11-24" */
static const char *
take_day(const char *text, struct tm *tm)
{
	const char *behind;

	if (strspn(text, "0123456789") != 4)
		return NULL;
	tm->tm_year = (int)strtol(text, NULL, 10) - 1900;
	behind = take_two(text + 4, '-', 12, &tm->tm_mon);
	behind = take_two(behind, '-', 31, &tm->tm_mday);
	tm->tm_mon--;
	return behind && tm->tm_year >= 70 && tm->tm_mon >= 0 && tm->tm_mday > 0 ? behind : NULL;
}

/* "03:56", "03:56:48" */
static const char *
take_clock(const char *text, struct tm *tm, uint64_t *us)
{
	if (!is_digit(text[0]) || !is_digit(text[1]))
		return NULL;
	tm->tm_hour = (text[0] - '0') * 10 + text[1] - '0';
	text = take_two(text + 2, ':', 59, &tm->tm_min);
	return tm->tm_hour <= 23 ? take_seconds(text, tm, us) : NULL;
}

/* The last moment, today or yesterday, that had this time of day. */
static int
read_clock(const char *text, uint64_t now_us, uint64_t *us_out)
{
	const uint64_t day_us = UINT64_C(86400000000);
	struct tm tm = { 0 };
	uint64_t us, at;
	const char *behind = take_clock(text, &tm, &us);

	if (!behind || *behind)
		return -EINVAL;
	at = now_us / day_us * day_us + us +
		(uint64_t)(tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec) * 1000000;
	*us_out = at <= now_us || at < day_us ? at : at - day_us;
	return 0;
}

int
date_read(const char *text, uint64_t now_us, uint64_t *us_out)
{
	struct tm tm = { 0 };
	uint64_t us = 0;
	int64_t offset_s = 0, seconds;
	const char *behind = take_day(text, &tm);

	if (!behind)
		return read_clock(text, now_us, us_out);
	if (*behind == 'T' || *behind == ' ')
		behind = take_zone(take_clock(behind + 1, &tm, &us), &offset_s);
	seconds = (int64_t)timegm(&tm) - offset_s;
	if (!behind || *behind || seconds < 0)
		return -EINVAL;
	*us_out = (uint64_t)seconds * 1000000 + us;
	return 0;
}
