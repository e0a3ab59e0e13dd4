/*
 * status.h: the supervisor's state and the board as control.h's records, one after the other, made only
 * when somebody can take them.
 */
#ifndef STATUS_H
#define STATUS_H

#include "listeners.h"
#include "supervisor.h"

enum status_part {
	STATUS_DAEMON,
	STATUS_PROBLEMS,
	STATUS_WARNINGS,
	STATUS_SERVICES,
	STATUS_END,
};

/* Where an answer has come to.  The table may change in between: then services are found again by name.  What
   belongs to one service is copied at once, so that its records fit together. */
struct status_cursor {
	enum status_part part;
	const char *only;      /* one service, not owned; NULL: all */
	bool names;            /* `list`: only names, as lines */
	size_t item;           /* in diagnostics */
	size_t passed;         /* services done */
	char next[TABLE_NAME]; /* the one to do; "": by position */
	struct service *place; /* the same; good as long as the table of this generation is in force */
	uint32_t generation;
	struct control_service service;
	struct control_listener *listeners;
	struct control_server *servers;
	size_t group, group_size; /* records of this service: given out, all */
	struct unix_queues queues;
};

void status_begin(struct status_cursor *cursor, const char *only);
void status_begin_list(struct status_cursor *cursor);

/* 1: *record is the next one; 0: no more; -ENOMEM. */
int status_next(struct supervisor *supervisor, struct status_cursor *cursor, struct control_record *record);

void status_end(struct status_cursor *cursor);

/* One record alone, for `version`. */
void status_daemon(struct supervisor *supervisor, struct control_record *record);

/* A line into a record of that type; cut when too long. */
void status_line(struct control_record *record, enum control_record_type type, const char *text);

/* ---- status_service.c: one service.  Numbers of the board are not trusted. ---- */

/* Fills service, listeners and servers of the cursor.  0 or -ENOMEM. */
int status_copy_service(struct supervisor *supervisor, struct service *service, struct status_cursor *cursor);

/* Pure: what a server's phase and the dispatcher's view of it are called together. */
enum control_server_state status_server_state(enum server_phase phase, uint32_t board_state);

/* Pure: no number so large that sums or readers overflow, and the two sums hold whatever was written. */
void status_clamp(struct board_reading *reading);

void status_copy_text(char *to, size_t size, const char *from);

#endif
