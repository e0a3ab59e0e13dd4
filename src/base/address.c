/*
 * address.c: see address.h.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define PATH_OFFSET offsetof(struct sockaddr_un, sun_path)
#define UNIX_PATH_BYTES sizeof(((struct sockaddr_un *)0)->sun_path)

static const uint8_t any[16];

static size_t ip_length(const struct address *address)
{
	return address->family == AF_INET ? 4 : 16;
}

static socklen_t unix_to_sockaddr(const struct address *address, struct sockaddr_un *out)
{
	size_t skip = address->abstract ? 1 : 0;
	size_t length = address->path_length;

	if (length > sizeof(out->sun_path) - skip)
		length = sizeof(out->sun_path) - skip;
	out->sun_family = AF_UNIX;
	if (length > 0)
		memcpy(out->sun_path + skip, address->path, length);
	if (address->abstract || length == 0)
		return (socklen_t)(PATH_OFFSET + skip + length);
	return (socklen_t)(PATH_OFFSET + length + (length < sizeof(out->sun_path) ? 1 : 0));
}

socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (address->family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)out;

		in->sin_family = AF_INET;
		in->sin_port = htons(address->port);
		memcpy(&in->sin_addr, address->ip, 4);
		return sizeof(*in);
	}
	if (address->family == AF_INET6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(address->port);
		in6->sin6_scope_id = address->scope;
		memcpy(&in6->sin6_addr, address->ip, 16);
		return sizeof(*in6);
	}
	return unix_to_sockaddr(address, (struct sockaddr_un *)out);
}

static void from_in6(struct address *address, const struct sockaddr_in6 *in6)
{
	address->port = ntohs(in6->sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		address->family = AF_INET;
		memcpy(address->ip, in6->sin6_addr.s6_addr + 12, 4);
		return;
	}
	address->family = AF_INET6;
	address->scope = in6->sin6_scope_id;
	memcpy(address->ip, &in6->sin6_addr, 16);
}

static void from_un(struct address *address, const struct sockaddr_un *un, size_t length)
{
	size_t bytes = length - PATH_OFFSET;

	address->kind = ADDRESS_UNIX;
	address->family = AF_UNIX;
	if (bytes > sizeof(un->sun_path))
		bytes = sizeof(un->sun_path);
	if (bytes > 0 && un->sun_path[0] == '\0') {
		address->abstract = 1;
		address->path_length = (uint16_t)(bytes - 1);
		address->path = un->sun_path + 1;
		return;
	}
	bytes = strnlen(un->sun_path, bytes);
	address->path_length = (uint16_t)bytes;
	address->path = un->sun_path;
}

int address_from_sockaddr(struct address *address, const struct sockaddr *from, socklen_t length)
{
	memset(address, 0, sizeof(*address));
	if (length < sizeof(from->sa_family))
		return -EAFNOSUPPORT;
	address->kind = ADDRESS_TCP;
	if (from->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)from;

		address->family = AF_INET;
		address->port = ntohs(in->sin_port);
		memcpy(address->ip, &in->sin_addr, 4);
		return 0;
	}
	if (from->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6)) {
		from_in6(address, (const struct sockaddr_in6 *)from);
		return 0;
	}
	if (from->sa_family == AF_UNIX && length >= PATH_OFFSET) {
		from_un(address, (const struct sockaddr_un *)from, length);
		return 0;
	}
	address->kind = 0;
	return -EAFNOSUPPORT;
}

static bool unix_equal(const struct address *a, const struct address *b)
{
	return a->abstract == b->abstract && a->path_length == b->path_length &&
	       (a->path_length == 0 || memcmp(a->path, b->path, a->path_length) == 0);
}

bool address_equal(const struct address *a, const struct address *b)
{
	if (a->kind != b->kind || a->family != b->family)
		return false;
	if (a->family == AF_UNIX)
		return unix_equal(a, b);
	return a->port == b->port && a->scope == b->scope && memcmp(a->ip, b->ip, ip_length(a)) == 0;
}

bool address_overlaps(const struct address *a, const struct address *b)
{
	size_t length;

	if (a->kind != b->kind || a->family != b->family)
		return false;
	if (a->family == AF_UNIX)
		return unix_equal(a, b);
	if (a->port != b->port)
		return false;
	length = ip_length(a);
	if (memcmp(a->ip, any, length) == 0 || memcmp(b->ip, any, length) == 0)
		return true;
	/* The kernel takes a bind without a scope for one on every link. */
	if (a->scope != b->scope && a->scope != 0 && b->scope != 0)
		return false;
	return memcmp(a->ip, b->ip, length) == 0;
}

static void format_unix(const struct address *address, char *text, size_t size)
{
	int n = snprintf(text, size, "unix:%s", address->abstract ? "@" : "");
	char *out = text + (n > 0 ? n : 0);
	size_t length = address->path_length;

	if (length > UNIX_PATH_BYTES)
		length = UNIX_PATH_BYTES;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)address->path[i];

		*out++ = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	*out = '\0';
}

const char *address_format(const struct address *address, char text[ADDRESS_TEXT])
{
	char ip[INET6_ADDRSTRLEN] = "?";

	if (address->family == AF_UNIX) {
		format_unix(address, text, ADDRESS_TEXT);
		return text;
	}
	if (address->family != AF_INET && address->family != AF_INET6) {
		snprintf(text, ADDRESS_TEXT, "?");
		return text;
	}
	inet_ntop(address->family, address->ip, ip, sizeof(ip));
	if (address->family == AF_INET)
		snprintf(text, ADDRESS_TEXT, "tcp:%s:%u", ip, address->port);
	else if (address->scope != 0)
		snprintf(text, ADDRESS_TEXT, "tcp:[%s%%%u]:%u", ip, address->scope, address->port);
	else
		snprintf(text, ADDRESS_TEXT, "tcp:[%s]:%u", ip, address->port);
	return text;
}

/* A number, or the name of an interface.  0: neither. */
static uint32_t parse_scope(const char *text)
{
	uint64_t number = 0;
	const char *c = text;

	for (; *c >= '0' && *c <= '9'; c++) {
		number = number * 10 + (uint64_t)(*c - '0');
		if (number > UINT32_MAX)
			return 0;
	}
	if (c != text && *c == '\0')
		return (uint32_t)number;
	return if_nametoindex(text);
}

int address_parse_ip(const char *text, struct address *out)
{
	char ip[INET6_ADDRSTRLEN];
	const char *percent = strchr(text, '%');
	size_t length = percent ? (size_t)(percent - text) : strlen(text);

	memset(out, 0, sizeof(*out));
	if (length >= sizeof(ip))
		return -EINVAL;
	memcpy(ip, text, length);
	ip[length] = '\0';
	out->kind = ADDRESS_TCP;
	if (!percent && inet_pton(AF_INET, ip, out->ip) == 1) {
		out->family = AF_INET;
		return 0;
	}
	if (inet_pton(AF_INET6, ip, out->ip) != 1)
		return -EINVAL;
	out->family = AF_INET6;
	if (percent) {
		out->scope = parse_scope(percent + 1);
		if (out->scope == 0)
			return -EINVAL;
	}
	return 0;
}
