/*
 * listen.c: what a value of `listen` means.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "values.h"

#define UNIX_PATH_MAX_BYTES 107

struct listen_reading {
	listen_port_lookup lookup;
	void *context;
	struct listen_word *out;
	char *why;
};

static int listen_refuse(struct listen_reading *reading, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int listen_refuse(struct listen_reading *reading, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reading->why, LISTEN_WHY, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static int listen_port(struct listen_reading *reading, const char *text)
{
	uint64_t number;
	unsigned found;

	if (!*text)
		return listen_refuse(reading, "the port is missing (ADDRESS:PORT)");
	if (*text >= '0' && *text <= '9') {
		if (value_number(text, &number))
			return listen_refuse(reading, "\"%.40s\" is no port (1 to 65535)", text);
		if (!number || number > 65535)
			return listen_refuse(reading, "port %.20s is out of range (1 to 65535)", text);
		reading->out->address.port = (uint16_t)number;
		return 0;
	}
	found = reading->lookup(reading->context, text);
	if (!found)
		return listen_refuse(reading,
				     "no port is named \"%.40s\" in /etc/services (a number, or such a name)",
				     text);
	reading->out->address.port = (uint16_t)found;
	return 0;
}

/* PORT, :PORT and *:PORT. */
static int listen_wildcard(struct listen_reading *reading, const char *port)
{
	reading->out->both = true;
	reading->out->address.kind = ADDRESS_TCP;
	reading->out->address.family = AF_INET;
	return listen_port(reading, port);
}

static int listen_ip(struct listen_reading *reading, const char *host, size_t length, bool brackets,
		     const char *port)
{
	struct address *address = &reading->out->address;
	char text[80];

	snprintf(text, sizeof(text), "%.*s", (int)length, host);
	if (length >= sizeof(text) || address_parse_ip(text, address))
		return listen_refuse(
			reading,
			"\"%.60s\" is no address (a numeric one, IPv6 in brackets: 127.0.0.1:80, [::1]:80)",
			text);
	address->kind = ADDRESS_TCP;
	if (!brackets && strchr(text, ':'))
		return listen_refuse(reading, "an IPv6 address needs brackets ([%.60s]:PORT)", text);
	if (brackets && !strchr(text, ':'))
		return listen_refuse(reading, "brackets are for IPv6 addresses (%.40s:PORT)", text);
	if (address->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)address->ip))
		return listen_refuse(
			reading,
			"an IPv4 address in IPv6 form never gets a connection here (write the IPv4 one)");
	return listen_port(reading, port);
}

static int listen_tcp(struct listen_reading *reading, const char *text)
{
	const char *colon = strrchr(text, ':'), *bracket;

	if (*text == '[') {
		bracket = strchr(text, ']');
		if (!bracket || bracket[1] != ':')
			return listen_refuse(reading, "an IPv6 address is written [ADDRESS]:PORT");
		return listen_ip(reading, text + 1, (size_t)(bracket - text - 1), true, bracket + 2);
	}
	if (!colon)
		return strchr(text, '.') || *text == '*'
			       ? listen_refuse(reading, "the port is missing (%.60s:PORT)", text)
			       : listen_wildcard(reading, text);
	if (colon == text || (colon == text + 1 && *text == '*'))
		return listen_wildcard(reading, colon + 1);
	if (strchr(text, ':') != colon)
		return listen_refuse(reading, "an IPv6 address is written [ADDRESS]:PORT");
	return listen_ip(reading, text, (size_t)(colon - text), false, colon + 1);
}

static int listen_unix(struct listen_reading *reading, const char *text)
{
	struct address *address = &reading->out->address;
	size_t length = strlen(text);

	if (*text != '/' && *text != '@')
		return listen_refuse(reading,
				     "a Unix socket is unix:/PATH, or unix:@NAME for an abstract one");
	address->kind = ADDRESS_UNIX;
	address->family = AF_UNIX;
	address->abstract = *text == '@';
	text += address->abstract;
	length -= address->abstract;
	if (!length || text[length - 1] == '/')
		return listen_refuse(reading, "the socket's name is missing");
	if (length > UNIX_PATH_MAX_BYTES)
		return listen_refuse(reading, "%zu bytes are too long for a Unix socket (at most %d)", length,
				     UNIX_PATH_MAX_BYTES);
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return listen_refuse(reading, "a control character in the socket's name");
	address->path = text;
	address->path_length = (uint16_t)length;
	return 0;
}

/* KIND: before the address, or 0. */
static size_t listen_kind_length(const char *text)
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz");

	return text[length] == ':' ? length : 0;
}

static int listen_address(struct listen_reading *reading, const char *text)
{
	static const char *const later[] = {"udp", "seqpacket", "vsock", "mptcp", NULL};
	size_t length = listen_kind_length(text);
	char kind[16];

	if (!length || length >= sizeof(kind))
		return *text == '/' ? listen_refuse(reading, "a Unix socket is written unix:%.100s", text)
				    : listen_tcp(reading, text);
	snprintf(kind, sizeof(kind), "%.*s", (int)length, text);
	if (!strcmp(kind, "tcp"))
		return listen_tcp(reading, text + length + 1);
	if (!strcmp(kind, "unix"))
		return listen_unix(reading, text + length + 1);
	if (value_choice(kind, later) >= 0)
		return listen_refuse(reading, "%s is not supported yet (tcp, unix)", kind);
	return listen_refuse(reading,
			     "\"%s\" is no address and no kind of one (a numeric address; tcp, unix)", kind);
}

int listen_parse(const char *text, listen_port_lookup lookup, void *context, struct listen_word *out,
		 char why[LISTEN_WHY])
{
	struct listen_reading reading = {lookup, context, out, why};
	size_t name = strcspn(text, "=:/@[");

	*out = (struct listen_word){0};
	if (!*text)
		return listen_refuse(&reading, "is empty (ADDRESS:PORT, or unix:/PATH)");
	if (text[name] == '=') {
		if (!value_is_name(text, name))
			return listen_refuse(&reading, "\"%.*s\" is no name (letters, digits, . _ -)",
					     name > 40 ? 40 : (int)name, text);
		out->name_length = name;
		text += name + 1;
		if (!*text)
			return listen_refuse(&reading, "no address behind the name");
	}
	return listen_address(&reading, text);
}
