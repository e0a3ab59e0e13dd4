/*
 * control_socket.h: control.sock, and later answers to those who wait.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef SUPERVISOR_CONTROL_SOCKET_H
#define SUPERVISOR_CONTROL_SOCKET_H

#include "supervisor.h"

int control_open(struct supervisor *);
void control_close(struct supervisor *);
void control_watch(struct supervisor *);              /* a socket that is open already */
void control_hold(struct supervisor *, bool hold);    /* no new requests, or again */
bool control_answering(const struct supervisor *);    /* is somebody in the middle of an answer? */
/* Later answers, for those who wait: */
void control_service_changed(struct supervisor *, struct service *);
void control_marked(struct supervisor *);                /* dispatcher_reached() has changed */
void control_reloaded(struct supervisor *, uint64_t number, int code, const struct diagnostics *);
void control_stopping(struct supervisor *);

#endif
