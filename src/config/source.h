/*
 * source.h: a whole file into memory.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#define SOURCE_MAX_BYTES ((size_t)256 << 20)

/*
 * The text, NUL-terminated, for the caller to free; *status is of the open file.  plain: nothing but a regular file
 * will do, and nothing blocks.  0 or -errno; -EFBIG above SOURCE_MAX_BYTES, -EINVAL when it is no plain file.
 */
int source_load(const char *path, bool plain, char **text, size_t *length, struct stat *status);

/* Why source_load() failed. */
const char *source_error(int error);

#endif
