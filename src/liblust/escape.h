/*
 * escape.h: bytes of strangers made safe to show.  Pure; private to liblust and the daemon.
 */
#ifndef LUST_ESCAPE_H
#define LUST_ESCAPE_H

#include <stddef.h>

/*
 * Makes raw bytes safe to show: valid UTF-8 stays, control characters (C0, C1, and the Unicode ones that break lines or
 * turn the direction of text) and stray bytes become \n, \r, \t or \xNN.  Writes at most size - 1 bytes and a NUL, never
 * half a character.  Returns how many raw bytes went in; *written (may be NULL) is the length of the text.
 */
size_t lust_escape(char *out, size_t size, const char *raw, size_t length, size_t *written);

/* Bytes at the end of raw that may be the beginning of a character whose rest has not come yet. */
size_t lust_escape_unfinished(const char *raw, size_t length);

#endif
