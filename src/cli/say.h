/*
 * say.h: messages to people: `lust-inetd: ...` on standard error.
 */
#ifndef SAY_H
#define SAY_H

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
