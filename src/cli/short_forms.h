/*
 * short_forms.h: numbers and words as people read them in a narrow column.  Pure.
 */
#ifndef SHORT_FORMS_H
#define SHORT_FORMS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define FORMAT_SHORT 24

/* "40s", "90m", "3h", "12d". */
const char *format_duration(char text[FORMAT_SHORT], uint64_t seconds);

/* Microseconds: "80us", "1.4ms", "2.3s", then as format_duration(). */
const char *format_time(char text[FORMAT_SHORT], uint64_t us);

/* A count in at most `width` (4 to 20) characters: "212", "41k", "1234k", "2M". */
const char *format_count(char text[FORMAT_SHORT], uint64_t count, unsigned width);

/* "1st", "2nd", "11th". */
const char *format_ordinal(char text[FORMAT_SHORT], uint64_t number);

/* Wall clock seconds: "03:02" on the day of now_s, else "2024-05-31". Local time. */
const char *format_clock(char text[FORMAT_SHORT], uint64_t moment_s, uint64_t now_s);

/* A copy for the terminal, in at most `width` characters: control characters become '?', and what is too long loses
   its middle, "~" in place.  size: 4 * width + 1 is always enough. */
const char *format_cut(char *text, size_t size, unsigned width, const char *from);

/* Words, broken between them at column 80; every line begins with `indent` spaces.  Ends with a newline. */
void format_wrap(FILE *out, unsigned indent, const char *words);

#endif
