/*
 * say.c: one line to standard error.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "say.h"

#include <stdarg.h>
#include <stdio.h>

void say(const char *format, ...)
{
	va_list arguments;

	/* In one piece, so that lines of several processes do not mix. */
	flockfile(stderr);
	fputs("lust-inetd: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	funlockfile(stderr);
}
