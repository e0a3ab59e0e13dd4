/*
 * http.h: reading the heads of HTTP requests.
 */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>

struct request {
	const char *wrong; /* status line of the refusal, or NULL */
	bool head_only, keep;
};

/* Bytes of the first whole head in what was read, its empty line included; 0: it is not all here. */
size_t head_length(const char *in, size_t length);

struct request read_request(const char *head, size_t length);

#endif
