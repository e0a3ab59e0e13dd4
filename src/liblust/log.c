/*
 * log.c: one line a call, from any thread.
 *
 * SPDX-License-Identifier: ISC
 */
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "escape.h"

/* The one piece of state that belongs to the process and not to a handle: a log that had to be passed around would not be
   called where it matters. */
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct lust_log_sink sink = {.kind = LUST_LOG_PLAIN, .fd = -1};
static bool redirected;
static atomic_int threshold = LUST_LOG_INFO;

static const char *const level_names[] = {
	[LUST_LOG_ERROR] = "error", [LUST_LOG_WARNING] = "warning", [LUST_LOG_NOTICE] = "notice",
	[LUST_LOG_INFO] = "info",   [LUST_LOG_DEBUG] = "debug",
};

static int nearest_level(int level)
{
	return level < LUST_LOG_ERROR ? LUST_LOG_ERROR : level > LUST_LOG_DEBUG ? LUST_LOG_DEBUG : level;
}

const char *lust_log_level_name(int level)
{
	return level_names[nearest_level(level)];
}

int lust_log_level_of(const char *name)
{
	for (int level = LUST_LOG_ERROR; level <= LUST_LOG_DEBUG; level++) {
		if (strcmp(name, level_names[level]) == 0)
			return level;
	}
	return -EINVAL;
}

void lust_log_level(int level)
{
	atomic_store(&threshold, nearest_level(level));
}

static int redirect(const struct lust_log_sink *to)
{
	int fd = lust_log_sink_stream(to), result = 0;

	if (fd < 0)
		return fd;
	/* Written out to where it was meant to go. */
	fflush(stdout);
	if (dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		result = -errno;
	close(fd);
	return result;
}

static void replace(const struct lust_log_sink *with, bool redirects)
{
	struct lust_log_sink old;

	pthread_rwlock_wrlock(&lock);
	old = sink;
	sink = *with;
	redirected = redirects;
	if (sink.kind == LUST_LOG_SYSLOG)
		lust_log_connect_syslog(sink.path);
	else if (old.kind == LUST_LOG_SYSLOG)
		closelog();
	pthread_rwlock_unlock(&lock);
	lust_log_sink_close(&old);
}

int lust_log_before_closing(void)
{
	if (sink.kind == LUST_LOG_SYSLOG)
		closelog();
	return sink.fd;
}

void lust_log_after_closing(void)
{
	if (sink.kind == LUST_LOG_SYSLOG)
		lust_log_connect_syslog(sink.path);
}

int lust_log_open(const struct lust_log_options *options)
{
	static const struct lust_log_options none;
	struct lust_log_sink opened;
	int result;

	if (!options)
		options = &none;
	result = lust_log_sink_open(&opened, options->name, options->target);
	if (result < 0)
		return result;
	if (options->redirect && (result = redirect(&opened)) < 0) {
		lust_log_sink_close(&opened);
		return result;
	}
	replace(&opened, options->redirect);
	lust_log_level(options->level ? options->level : LUST_LOG_INFO);
	return 0;
}

int lust_log_reopen(void)
{
	struct lust_log_sink opened, old;
	bool redirects;
	int result;

	/* Only open, reopen and close change the sink, and one thread calls them: reading needs no lock here. */
	if (sink.kind != LUST_LOG_FILE)
		return 0;
	old = sink;
	redirects = redirected;
	result = lust_log_sink_open(&opened, old.name, old.path);
	if (result < 0)
		return result;
	if (redirects && (result = redirect(&opened)) < 0) {
		lust_log_sink_close(&opened);
		return result;
	}
	replace(&opened, redirects);
	return 0;
}

int lust_log_stream(void)
{
	return lust_log_sink_stream(&sink);
}

void lust_log_close(void)
{
	replace(&(struct lust_log_sink){.kind = LUST_LOG_PLAIN, .fd = -1}, false);
}

void lust_vlog(int level, const char *format, va_list arguments)
{
	char raw[LUST_LOG_LINE], text[LUST_LOG_LINE];
	int error = errno, length;
	size_t size, written;

	if (level > atomic_load(&threshold))
		return;
	length = vsnprintf(raw, sizeof(raw), format, arguments); /* errno as it came: %m */
	if (length > 0) {
		size = (size_t)length < sizeof(raw) ? (size_t)length : sizeof(raw) - 1;
		if (raw[size - 1] == '\n')
			size--;
		lust_escape(text, sizeof(text), raw, size, &written);
		pthread_rwlock_rdlock(&lock);
		lust_log_sink_write(&sink, nearest_level(level), text, written);
		pthread_rwlock_unlock(&lock);
	}
	errno = error;
}

void lust_log(int level, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	lust_vlog(level, format, arguments);
	va_end(arguments);
}
