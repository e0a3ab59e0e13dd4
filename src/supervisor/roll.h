/*
 * roll.h: replacing the servers of a service while they serve: for `roll`, and for a reload that changed server { }.
 *
 * A place is an instance number.  In it stand, at most: the server that serves (the current one), one newcomer that is
 * coming up beside it, and any number of replaced ones, of older generations, that finish what they hold.  A newcomer
 * that registers is the current one from then on, and the other gets its DRAIN.  One that does not come up ends the roll:
 * the current ones serve on until the next roll or reload.
 */
#ifndef ROLL_H
#define ROLL_H

#include "supervisor.h"

#define ROLL_WORDS 400
#define ROLL_WIDTH 16u /* newcomers of a service at a time, at most */

/* ---- roll_plan.c: what a roll does next.  Pure: reads, decides, does nothing ---- */

struct roll_place {
	struct server *current;  /* not on its way out, though perhaps at rest; NULL: none */
	struct server *newcomer; /* NULL: none */
	bool clearing;           /* a newcomer that was called off has not ended yet */
	struct server *next;     /* where the next place begins; NULL: it was the last */
};
/* The place that begins with this server; those from outside have none: false. */
bool roll_place(struct server *first, struct roll_place *place);

struct roll_view {
	unsigned generation;
	bool given_up;           /* a newcomer of this generation did not come up */
	unsigned places;         /* that have a current server */
	unsigned outdated;       /* of those, of an older generation */
	unsigned renewed;        /* ready and of this generation */
	unsigned coming;         /* newcomers */
	unsigned leaving;        /* replaced or called off, and not gone */
	unsigned room;           /* servers that could be started beside those that run */
};
/* All but room, which is the daemon's. */
void roll_view(const struct service *, struct roll_view *);

enum roll_deed {
	ROLL_KEEP,
	ROLL_REFRESH,  /* the current one does not run: it is started with the new settings, now */
	ROLL_RESTART,  /* the current one serves nobody yet: it is ended, its place is filled anew */
	ROLL_START,    /* a newcomer beside the current one */
	ROLL_CALL_OFF, /* the newcomer is of an older generation, or of one that is given up */
};
enum roll_deed roll_decide(const struct roll_view *, const struct roll_place *);
/* There is room for no newcomer, and nothing is on its way out that would make any. */
bool roll_is_stuck(const struct roll_view *);
/* Outdated servers serve on because the new ones did not come up. */
bool roll_is_held(const struct service *);
/* Why, for status: cut to what fits. */
void roll_reason(const struct service *, char reason[160]);
/* The same in full, for whoever asked for the roll. */
void roll_why(const struct service *, char why[ROLL_WORDS]);

/* ---- roll.c: does it ---- */

/* 0; -EOPNOTSUPP: no servers of its own; -ESHUTDOWN: it is down, and stays so.  How far it got: service_progress(). */
int service_roll(struct supervisor *, struct service *);
void roll_on(struct supervisor *, struct service *);      /* as far as it goes now */
void roll_retry(struct service *);                        /* a new table: what did not come up may try again */
void roll_take_over(struct supervisor *, struct server *newcomer); /* it has registered */
void roll_refused(struct supervisor *, struct server *newcomer);   /* it is being ended for a fault of its own */
void roll_newcomer_ended(struct supervisor *, struct server *newcomer); /* before it registered; may free it */
void roll_last_words(struct supervisor *, struct server *); /* all that it printed was read, or the time for it is up */
/* The current one ended by itself: has a newcomer that is coming up taken its place? */
bool roll_inherited(struct supervisor *, struct server *current);
void roll_room_made(struct supervisor *);                 /* a slot is free again */

#endif
