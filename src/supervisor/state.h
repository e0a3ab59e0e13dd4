/*
 * state.h: the supervisor's state as text, so that one program can go on where another one stopped.  A first line with
 * the version, then a record a line: TYPE KEY=VALUE ...  A reader passes over the types and keys that it does not
 * know; what it misses keeps the value that its struct had.  Values: a decimal number; fd:N, a descriptor; text, with
 * %XX for every byte that is not plain.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef STATE_H
#define STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern const char state_head[]; /* the first line; with another number neither reads the other's */
#define STATE_MAX ((size_t)1 << 30)

enum state_kind {
	STATE_UNSIGNED,
	STATE_SIGNED,
	STATE_FD,     /* int; -1: none */
	STATE_TEXT,   /* char[] */
	STATE_STRING, /* char *, allocated; NULL: not written */
};

/* One member of a struct. */
struct state_field {
	const char *key; /* NULL ends the table */
	enum state_kind kind;
	size_t offset, size;
	uint64_t most; /* of an UNSIGNED; 0: what its size takes */
};

#define STATE_MEMBER(type, member, key, kind, most)                                                          \
	{                                                                                                    \
		key, kind, offsetof(type, member), sizeof(((type *)0)->member), most                         \
	}

/* ---- state_write.c ---- */

struct state_writer {
	char *text; /* owned */
	size_t length, room;
	int *fd; /* every descriptor that was written; owned */
	size_t fds, fd_room;
	bool failed; /* no memory: nothing of it may be used */
};

void state_write_begin(struct state_writer *); /* the first line */
void state_write_free(struct state_writer *);
void state_record(struct state_writer *, const char *type);
void state_number(struct state_writer *, const char *key, uint64_t number);
void state_descriptor(struct state_writer *, const char *key, int fd);
void state_text(struct state_writer *, const char *key, const char *text, size_t length);
void state_struct(struct state_writer *, const struct state_field *, const void *base);
void state_end(struct state_writer *); /* of the record */

/* ---- state_read.c ---- */

struct state_record {
	const char *type;
	struct state_value {
		const char *key;
		char *text; /* decoded; NUL-terminated, NULs inside are possible */
		size_t length;
		bool is_fd;
	} * value;
	size_t count;
};

struct state_reader {
	char *text; /* a copy, cut up in place; owned */
	struct state_record *record;
	size_t count;
	int *fd; /* every descriptor that is named, in known records or others; owned */
	size_t fds;
	char problem[256]; /* of the first failure */
	struct supervisor *half; /* what a failed state_load() made.  Nothing of it is closed: the program that goes on
	                            needs the descriptors.  The end of this one is its end */
};

/* 0, -EPROTO or -ENOMEM with the problem set.  Free in every case. */
int state_parse(struct state_reader *, const char *text, size_t length);
void state_read_free(struct state_reader *);
bool state_wrong(struct state_reader *, const char *format, ...)
	__attribute__((format(printf, 2, 3))); /* the problem is set; false */
/* The first record of this type behind `after` (NULL: from the start), or NULL. */
const struct state_record *state_next(const struct state_reader *, const char *type,
				      const struct state_record *after);
const struct state_value *state_find(const struct state_record *, const char *key); /* NULL: not there */
/* A number that has to be there and at most `most`; false with the problem set. */
bool state_get(struct state_reader *, const struct state_record *, const char *key, uint64_t most,
	       uint64_t *number);
/* What the record says into the struct at base.  false with the problem set. */
bool state_fill(struct state_reader *, const struct state_record *, const struct state_field *, void *base);

#endif
