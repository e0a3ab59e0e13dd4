/*
 * format.c: see format.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>

static const struct {
	const char *name;
	int priority;
} levels[] = {
	[LEVEL_ERROR] = {"error", LOG_ERR},      [LEVEL_WARNING] = {"warning", LOG_WARNING},
	[LEVEL_NOTICE] = {"notice", LOG_NOTICE}, [LEVEL_INFO] = {"info", LOG_INFO},
	[LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

const char *format_level(enum logger_level level)
{
	return (unsigned)level < sizeof(levels) / sizeof(*levels) ? levels[level].name
								  : levels[LEVEL_ERROR].name;
}

static int priority(enum logger_level level)
{
	return (unsigned)level < sizeof(levels) / sizeof(*levels) ? levels[level].priority : LOG_ERR;
}

static void split_time(uint64_t time_us, struct tm *tm)
{
	time_t seconds = (time_t)(time_us / 1000000);

	if (!localtime_r(&seconds, tm))
		*tm = (struct tm){.tm_mday = 1, .tm_year = 70};
}

/* snprintf's answer, cut to what it wrote. */
static size_t bounded(int n, size_t size)
{
	if (n < 0)
		return 0;
	return (size_t)n < size ? (size_t)n : size - 1;
}

/* "web[1234]", "web#3[1234]", "web", "lust-inetd" */
static const char *speaker(const struct entry *entry, char *text, size_t size)
{
	const char *name = entry->name[0] != '\0' ? entry->name : "lust-inetd";

	if (entry->pid > 0 && entry->generation > 0)
		snprintf(text, size, "%s#%" PRIu32 "[%d]", name, entry->generation, entry->pid);
	else if (entry->pid > 0)
		snprintf(text, size, "%s[%d]", name, entry->pid);
	else
		snprintf(text, size, "%s", name);
	return text;
}

size_t format_file(const struct entry *entry, char *out, size_t size)
{
	char who[LOGGER_NAME + 32];
	struct tm tm;
	size_t n;
	long zone;

	split_time(entry->time_us, &tm);
	zone = labs(tm.tm_gmtoff) / 60;
	n = bounded(snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03u%c%02ld:%02ld %s %s: %s",
			     tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
			     (unsigned)(entry->time_us / 1000 % 1000), tm.tm_gmtoff < 0 ? '-' : '+',
			     zone / 60, zone % 60, format_level(entry->level),
			     speaker(entry, who, sizeof(who)), entry->text),
		    size);
	out[n++] = '\n';
	return n;
}

size_t format_syslog(const struct entry *entry, pid_t daemon, char *out, size_t size)
{
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	char who[LOGGER_NAME + 32];
	struct tm tm;

	split_time(entry->time_us, &tm);
	if (entry->name[0] == '\0' && entry->pid <= 0)
		who[0] = '\0';
	else
		speaker(entry, who, sizeof(who));
	return bounded(snprintf(out, size, "<%d>%s %2d %02d:%02d:%02d lust-inetd[%d]: %s%s%s",
				LOG_DAEMON | priority(entry->level), months[tm.tm_mon % 12], tm.tm_mday,
				tm.tm_hour, tm.tm_min, tm.tm_sec, daemon, who, who[0] != '\0' ? ": " : "",
				entry->text),
		       size);
}

size_t format_journal(const struct entry *entry, char *out, size_t size)
{
	char who[LOGGER_NAME + 32], service[LOGGER_NAME + 32] = "", pid[32] = "";

	if (entry->name[0] != '\0')
		snprintf(service, sizeof(service), "LUST_SERVICE=%s\n", entry->name);
	if (entry->pid > 0)
		snprintf(pid, sizeof(pid), "LUST_PID=%d\n", entry->pid);
	speaker(entry, who, sizeof(who));
	return bounded(
		snprintf(
			out, size,
			"PRIORITY=%d\nSYSLOG_FACILITY=%d\nSYSLOG_IDENTIFIER=lust-inetd\n%s%sMESSAGE=%s%s%s\n",
			priority(entry->level), LOG_DAEMON >> 3, service, pid,
			entry->name[0] != '\0' ? who : "", entry->name[0] != '\0' ? ": " : "", entry->text),
		size);
}
