/*
 * address.h: the addresses that services listen on, as plain data.  No loop, no descriptor.
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum address_kind {
	ADDRESS_TCP = 1,
	ADDRESS_UNIX = 2, /* stream */
};

/* A concrete address: what one socket is bound to. */
struct address {
	uint8_t kind;   /* enum address_kind */
	uint8_t abstract; /* Unix: name starts after the NUL of an abstract address */
	uint16_t family; /* AF_INET, AF_INET6, AF_UNIX */
	uint16_t port;   /* host order */
	uint16_t path_length; /* Unix: bytes of path, without NUL */
	uint32_t scope;  /* IPv6 scope id */
	union {
		uint8_t ip[16];   /* network order; IPv4 in the first four bytes */
		const char *path; /* Unix; whoever made it says whose it is, and whether a NUL ends it */
	};
};

/* Room for address_format()'s longest text with its NUL. */
#define ADDRESS_TEXT 160

/* Fills *out for bind, connect.  Returns its length. */
socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *out);

/* The address of an accepted socket. 0, or -EAFNOSUPPORT. IPv4-mapped addresses are unmapped; a path is that in `from`,
   without a NUL. */
int address_from_sockaddr(struct address *address, const struct sockaddr *from, socklen_t length);

bool address_equal(const struct address *a, const struct address *b);

/* Would binding both at once collide (a wildcard covers its port)?  Same kind and family only. */
bool address_overlaps(const struct address *a, const struct address *b);

/* "tcp:0.0.0.0:80", "tcp:[::1]:80", "unix:/run/x.sock", "unix:@name".  Returns text. Control characters in
   paths come out as '?'. */
const char *address_format(const struct address *address, char text[ADDRESS_TEXT]);

/* A numeric IPv4 or IPv6 address, "[...]" stripped by the caller, "%scope" allowed.  Fills *out whole: kind TCP, port 0.
   0 or -EINVAL. */
int address_parse_ip(const char *text, struct address *out);

#endif
