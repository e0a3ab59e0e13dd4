/*
 * render.h: a snapshot as text and as JSON.  Pure: what is in the snapshot, to a stream.  All text from outside is
 * cleaned of control characters here.
 */
#ifndef RENDER_H
#define RENDER_H

#include <stdio.h>

#include "snapshot.h"

/* The names that `status` uses. "?" for a number that no state has. */
const char *render_service_state(uint32_t state);
const char *render_server_state(uint32_t state);

/* ---- render_text.c ---- */
void render_status(FILE *out, const struct snapshot *snapshot, bool problems_only);

/* The daemon's line and what is wrong with all of it. */
void render_head(FILE *out, const struct snapshot *snapshot, bool problems_only);
/* The columns' names; one service; what is wrong with it, told of some or all of its servers. */
void render_columns(FILE *out);
void render_row(FILE *out, const struct snapshot_service *service);
void render_troubles(FILE *out, const struct snapshot_service *service, uint64_t now_s, bool all);

/* ---- render_service.c: `status SERVICE`, everything of each service in the snapshot ---- */
void render_details(FILE *out, const struct snapshot *snapshot, bool problems_only);

/* ---- render_json.c ---- */
void render_json(FILE *out, const struct snapshot *snapshot, bool problems_only);

#endif
