/*
 * http.c: enough of HTTP/1.1 to say hello.  Pure.
 *
 * SPDX-License-Identifier: ISC
 */
#include "http.h"

#include <string.h>
#include <strings.h>

/* Is `word` in a comma-separated list? */
static bool list_has(const char *list, size_t length, const char *word)
{
	for (size_t at = 0, size = strlen(word); at + size <= length; at++) {
		if (strncasecmp(list + at, word, size) == 0)
			return true;
	}
	return false;
}

/* One header line without its line end. False: malformed, or announces a body, which GET and HEAD do not
   have here. */
static bool read_header(const char *line, size_t length, struct request *request, bool *host)
{
	const char *colon = memchr(line, ':', length);
	size_t name = colon ? (size_t)(colon - line) : 0;

	if (name == 0 || memchr(line, ' ', name) || memchr(line, '\t', name))
		return false;
	if (name == 4 && strncasecmp(line, "Host", name) == 0) {
		if (*host)
			return false;
		*host = true;
	} else if (name == 10 && strncasecmp(line, "Connection", name) == 0) {
		if (list_has(colon, length - name, "close"))
			request->keep = false;
		else if (list_has(colon, length - name, "keep-alive"))
			request->keep = true;
	} else if (name == 17 && strncasecmp(line, "Transfer-Encoding", name) == 0) {
		return false;
	} else if (name == 14 && strncasecmp(line, "Content-Length", name) == 0) {
		return strspn(colon, ": \t0") == length - name;
	}
	return true;
}

/* The request line: "GET /x HTTP/1.1". */
static bool read_request_line(const char *line, size_t length, struct request *request)
{
	const char *target = memchr(line, ' ', length);
	const char *version = target ? memchr(target + 1, ' ', length - (size_t)(target + 1 - line)) : NULL;
	size_t method = target ? (size_t)(target - line) : 0;

	if (!version || version == target + 1 || method == 0)
		return false;
	version++;
	if (line + length - version != 8 || strncmp(version, "HTTP/1.", 7) != 0 ||
	    (version[7] != '0' && version[7] != '1'))
		return false;
	request->keep = version[7] == '1';
	request->head_only = method == 4 && strncmp(line, "HEAD", 4) == 0;
	if (!request->head_only && (method != 3 || strncmp(line, "GET", 3) != 0))
		request->wrong = "405 Method Not Allowed\r\nAllow: GET, HEAD";
	return true;
}

struct request read_request(const char *head, size_t length)
{
	struct request request = {0}, bad = {.wrong = "400 Bad Request"};
	const char *line = head, *end = head + length, *newline;
	bool first = true, host = false, must_have_host = false;

	if (memchr(head, '\0', length))
		return bad;
	for (; (newline = memchr(line, '\n', (size_t)(end - line))); line = newline + 1) {
		size_t size = (size_t)(newline - line);

		if (size && line[size - 1] == '\r')
			size--;
		if (size == 0)
			break;
		if (first && !read_request_line(line, size, &request))
			return bad;
		if (!first && !read_header(line, size, &request, &host) && !request.wrong)
			return bad;
		must_have_host |= first && request.keep;
		first = false;
	}
	if (must_have_host && !host && !request.wrong)
		return bad;
	return request;
}

size_t head_length(const char *in, size_t length)
{
	for (const char *at = in; (at = memchr(at, '\n', length - (size_t)(at - in))); at++) {
		const char *next = at + 1, *end = in + length;

		if (next < end && *next == '\r')
			next++;
		if (next < end && *next == '\n')
			return (size_t)(next + 1 - in);
	}
	return 0;
}
