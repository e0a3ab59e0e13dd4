/*
 * fuzz.h: what the targets share.  An input is a row of bytes that a target reads as decisions: what to do next, with
 * whom, with which numbers.  When it is used up every answer is 0, so that any input is a whole one.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct input {
	const uint8_t *at;
	size_t left;
};

uint8_t input_byte(struct input *input);
/* Small numbers mostly, in one byte; powers of two and the largest ones too. */
uint32_t input_number(struct input *input);
/* A number below `limit`, which is not 0. */
unsigned input_below(struct input *input, unsigned limit);
/* The next bytes, zeroes where they end. */
void input_copy(struct input *input, void *to, size_t size);

/* Ends the run with one line when the condition does not hold. */
#define FUZZ_CHECK(condition)                                                                                \
	do {                                                                                                 \
		if (!(condition))                                                                            \
			fuzz_fail(__FILE__, __LINE__, #condition);                                           \
	} while (0)
_Noreturn void fuzz_fail(const char *file, int line, const char *what);

/* Open descriptors of this process.  A run must leave as many as it found: the check lists them if it does not. */
unsigned fuzz_count_fds(void);
void fuzz_check_fds(unsigned before);

/* Descriptors of all kinds, to be pushed where they do not belong: up to `most` of them, how many.  The caller's. */
unsigned fuzz_some_fds(struct input *input, int *fds, unsigned most);
void fuzz_close_all(const int *fds, unsigned count);

/* A directory of this process, removed at its end. */
const char *fuzz_directory(void);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#endif
