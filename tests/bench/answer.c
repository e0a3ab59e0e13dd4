/*
 * answer.c: the application for superservers that start a process for each connection: the same 128 bytes, then the end.
 * Linked statically where possible: the start of a dynamic program would be most of what is measured.
 *
 * SPDX-License-Identifier: ISC
 */
#include <unistd.h>

#define ANSWER_LENGTH 128 /* app.h */

int main(void)
{
	unsigned char answer[ANSWER_LENGTH];

	for (unsigned i = 0; i < sizeof(answer); i++)
		answer[i] = (unsigned char)i;
	return write(STDOUT_FILENO, answer, sizeof(answer)) != sizeof(answer);
}
