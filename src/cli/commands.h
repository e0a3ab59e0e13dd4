/*
 * commands.h: one function a command; each returns the exit code.
 */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "arguments.h"

/* ---- life.c: the daemon itself ---- */
int command_run(const struct arguments *arguments);
int command_start(const struct arguments *arguments);
int command_stop(const struct arguments *arguments);
int command_restart(const struct arguments *arguments);
int command_reload(const struct arguments *arguments);
int command_upgrade(const struct arguments *arguments);

/* ---- look.c: status, list, version ---- */
int command_status(const struct arguments *arguments);
int command_list(const struct arguments *arguments);
int command_version(const struct arguments *arguments);

/* ---- servers.c: up, down, roll, pause, resume ---- */
int command_servers(const struct arguments *arguments);

/* ---- tables.c: check, show ---- */
int command_check(const struct arguments *arguments);
int command_show(const struct arguments *arguments);

/* ---- help.c ---- */
int command_help(const struct arguments *arguments);

#endif
