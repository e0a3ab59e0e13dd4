/*
 * environment.h: exactly what a server finds in its environment.  The supervisor's child and `show` use the same
 * function, so that `show` cannot lie.
 */
#ifndef ENVIRONMENT_H
#define ENVIRONMENT_H

#include "table.h"

#define ENVIRONMENT_FD 3 /* LUST_FD */

/*
 * NAME=VALUE, NULL-terminated: PATH, HOME USER LOGNAME SHELL of the user, TZ, pass-env, env-file, env, then ours;
 * what comes later wins.  own_environ is the daemon's, for TZ and pass-env.  instance counts from 1.
 * For the caller to free with environment_free(); NULL: no memory.
 */
char **environment_build(const struct table_service *service, unsigned instance, char **own_environ);
void environment_free(char **environment);

#endif
