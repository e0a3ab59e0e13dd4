/*
 * confine.h: taking away from this process what it does not need.
 */
#ifndef CONFINE_H
#define CONFINE_H

#include <stdbool.h>
#include <stdint.h>

/* Soft RLIMIT_NOFILE, the hard one too where that is permitted.  0 or -errno. */
int confine_files(uint64_t nofile);

/* Empties the bounding set: while there still is the capability to do so. -EPERM when there is not. */
int confine_bounding_set(void);

/* After the drop: no capability in any set, no new privileges, not dumpable, dies with its parent. */
int confine_process(void);

/* The allow-list of system calls, on processors that it is written for.  Irrevocable. */
int confine_system_calls(void);

#endif
