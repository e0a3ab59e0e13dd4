/*
 * exit_text.c: a wait status in words.  Pure.
 *
 * SPDX-License-Identifier: ISC
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "servers.h"

const char *exit_text(int status, char text[96])
{
	if (WIFEXITED(status)) {
		snprintf(text, 96, "exit %d", WEXITSTATUS(status));
		return text;
	}
	int number = WTERMSIG(status);
	const char *name = sigabbrev_np(number);
	if (name != NULL)
		snprintf(text, 96, "SIG%s", name);
	else
		snprintf(text, 96, "signal %d", number);
	if (WCOREDUMP(status)) {
		size_t used = strlen(text);
		snprintf(text + used, 96 - used, ", core dumped");
	}
	return text;
}

bool exit_clean(int status, int stop_signal)
{
	if (WIFEXITED(status))
		return WEXITSTATUS(status) == 0;
	return stop_signal != 0 && WTERMSIG(status) == stop_signal;
}
