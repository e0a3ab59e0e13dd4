/*
 * play.h: a dispatcher in this process (the rig of the unit tests), a friendly supervisor, clients, and servers that do
 * what the input says: what the targets of the daemon's side of the wire share.
 */
#ifndef PLAY_H
#define PLAY_H

#include "fuzz.h"
#include "rig.h"

#define PLAY_SERVERS 2
#define PLAY_OUTSIDE 6 /* slots for servers from outside, behind those */
#define PLAY_SLOTS (PLAY_SERVERS + PLAY_OUTSIDE)
#define PLAY_CLIENTS 8
#define PLAY_HELD 16

/* One end of a pair in the hands of a server, and what it has learned by it. */
struct play_server {
	struct rig_server side; /* .fd -1: it has closed its end */
	bool there;             /* the supervisor knows it */
	bool settling; /* its ends are kept until SLOT_FREE */
	bool external;
	int lifeline; /* the supervisor's copy; -1 */
};

struct play {
	struct rig rig;
	struct input input;
	struct play_server server[PLAY_SLOTS];
	int client[PLAY_CLIENTS];
	unsigned clients;
	uint64_t id[PLAY_HELD]; /* heard of by CONNECTIONS, the latest ones */
	int held[PLAY_HELD];    /* their descriptors; -1 */
	unsigned heard;
	struct {
		struct link_message message;
		int fd;
	} up[PLAY_CLIENTS]; /* handed up by a dispatcher that leaves, for the next one */
	unsigned handed;
};

void play_open(struct play *play);
/* With the servers that the input asks for, registered and behaving so far. */
void play_start(struct play *play);
void play_close(struct play *play);

/* Reads all that the dispatcher says on the link, and answers KEEP. */
void play_supervisor(struct play *play);
void play_turn(struct play *play);

/* ---- what a server or client does next ---- */
void play_connect(struct play *play);
void play_client(struct play *play);       /* it writes, shuts down or leaves */
void play_hear(struct play *play, int fd); /* one message to a server, if there is one */
/* Any message of a server: well-formed, nearly so, or noise; with descriptors or without. */
void play_say(struct play *play, int fd);
void play_held(struct play *play);      /* something with a connection that some server holds */
void play_supervise(struct play *play); /* DIED, DRAIN, PAUSE ...; a new server */
void play_revive(struct play *play);    /* the dispatcher dies, another one takes over */

struct play_server *play_pick(struct play *play);

#endif
