/*
 * control_client.h: one connection to control.sock, shared by control.c (the socket), control_client.c
 * (bytes and deadlines), control_request.c (what is asked and answered) and control_servers.c.
 */
#ifndef CONTROL_CLIENT_H
#define CONTROL_CLIENT_H

#include "status.h"
#include "supervisor.h"

enum client_phase {
	CLIENT_READING,   /* its request has not come yet */
	CLIENT_ANSWERING, /* records go out as it takes them */
	CLIENT_WAITING,   /* for servers, for the dispatcher, or for the daemon's end */
};

struct control_client {
	struct supervisor *supervisor;
	int fd;
	uid_t uid;
	enum client_phase phase;
	struct ev_io io;
	struct ev_timer deadline;
	struct control_request request;

	/* where the records before the result come from; each is empty for most commands */
	struct status_cursor status;
	struct diagnostics lines; /* of a reload; owned */
	size_t line;
	char *text, *text_at; /* of show; owned */

	struct control_result result;
	bool answered;             /* the result was made into the last record */
	struct control_record out; /* made and not yet sent */
	bool out_waits;

	char undone[TABLE_NAME]; /* the first service that is not done */
	uint64_t reload;         /* reload_ask()'s number, while the table is read; 0 */
	uint64_t mark;           /* reload, pause, resume: dispatcher_reached() ends the wait */

	struct control_client *next;
};

/* ---- control_client.c ---- */

/* Takes over fd. NULL: no memory, fd is closed. */
struct control_client *client_new(struct supervisor *supervisor, int fd, uid_t uid);
void client_free(struct control_client *client);

/* Starts sending: records first, then the result. */
void client_answer(struct control_client *client, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Its request stays in the socket, or is read again. */
void client_hold(struct control_client *client, bool hold);

/* Leaves the answer for later; 0: without a limit. */
void client_wait(struct control_client *client, uint64_t limit_ms);

/* ---- control_request.c ---- */

/* Judges and does what the client asks; ends in client_answer() or client_wait(). */
void request_handle(struct control_client *client);

/* The next record of the answer: 1; 0 after the result; -ENOMEM. */
int request_next_record(struct control_client *client, struct control_record *record);

/* The wait of this client is over its limit. */
void request_wait_ended(struct control_client *client);

/* The table was read for all who asked up to this number, and is in force if the code is 0. */
void request_reloaded(struct control_client *client, uint64_t number, int code,
		      const struct diagnostics *diagnostics);

/* The dispatcher got further: is the client's wait over? */
void request_marked(struct control_client *client);

const char *request_command_name(enum control_command command);
/* Nothing is changed before the first table is in force or after the end has begun: false, answered. */
bool request_is_settled(struct control_client *client);
bool request_means(const struct control_client *client, const struct service *service);
/* Answers when the dispatcher has done what was sent to it so far: request_marked(). */
void request_at_mark(struct control_client *client);

/* ---- control_servers.c: up, down, roll ---- */

void servers_change(struct control_client *client);
void servers_marked(struct control_client *client);
void servers_wait_ended(struct control_client *client);

/* Something of the service changed: is the client's wait over? */
void request_service_changed(struct control_client *client, struct service *service);

#endif
