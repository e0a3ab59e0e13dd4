/*
 * table_files.h: tables in a directory of the test's own, read as root or as an ordinary user would read them.
 *
 * SPDX-License-Identifier: ISC
 */
#ifndef TABLE_FILES_H
#define TABLE_FILES_H

#include "table.h"

extern char table_directory[];

/* A fresh, empty directory; and away with it. For checked fixtures. */
void table_files_setup(void);
void table_files_teardown(void);

/* Writes DIRECTORY/name, over what is there; directories on the way are made. */
void table_file(const char *name, const char *text);

/* Reads DIRECTORY/t.conf. The diagnostics are kept until the next one. */
struct table *table_files_read(bool privileged);
extern struct diagnostics table_said;

/* The table `text` alone. */
struct table *table_of(const char *text);

/* Some diagnostic holds this text; with DIRECTORY/ left out of what was said. */
bool table_said_has(const char *text);

/* All that was said, for failures. */
const char *table_said_all(void);

#endif
