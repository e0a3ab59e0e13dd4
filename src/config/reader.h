/*
 * reader.h: what the steps of reading a table share: read files, parse statements, build structs, check them.
 */
#ifndef READER_H
#define READER_H

#include <glob.h>
#include <sys/stat.h>

#include "map.h"
#include "parse.h"
#include "progress.h"
#include "resolve.h"

#define INCLUDE_DEPTH 16

struct reader {
	struct arena *arena; /* of the table: what it keeps is copied into it */
	struct arena scratch;
	struct arena work; /* as long as the reader: the words as they were parsed */
	jmp_buf no_memory;
	struct report report;
	struct parser *parser;
	struct resolver resolver;
	struct table *table;
	const struct table_options *options;
	bool only_runtime_dir; /* nothing else is looked at */
	const char *only_service; /* no other one is looked at, and only its words; NULL: all */

	/* what was parsed */
	struct section top, *dispatcher, *defaults;
	struct section **service;
	size_t service_count, service_room;
	struct map names; /* of services, to their sections */

	/* files */
	struct map files; /* by device and inode, to where each was asked for */
	size_t file_room;
	unsigned sources;
	char *text[INCLUDE_DEPTH + 1]; /* of the files that are open now */
	glob_t matches;
	bool matches_used;

	/* building and checking */
	struct service_build {
		struct table_service service;
		struct table_dispatch dispatch;
	} usual; /* one of which nothing is said */
	const struct table_dispatch *dispatch; /* of the service that was built last */
	struct map env_files;
	struct table_listen *listen; /* of the service that is being built */
	size_t listen_count, listen_room;
	struct setting *inherited[WORD_COUNT]; /* what defaults { } says, server { } in it too */
};

/* The words that hold for a service: its own, added to or instead of those of defaults { }. NULL: not said. */
struct effective {
	const char *title;
	struct setting *of[WORD_COUNT];
};

/* table.c: as table_read(), and all of the table lies in the region, with which it goes. */
struct table *table_read_in(struct region *region, const char *file, const struct table_options *options,
			    struct diagnostics *diagnostics);

/* inherit.c: once, before any service. */
void inherit_defaults(struct reader *reader);
void inherit_into(struct reader *reader, const struct section *section, struct effective *effective);

/* A wrong value: told, and the setting is marked, so that it is told once however many services inherit it. */
void setting_mistake(struct reader *reader, const char *title, struct setting *setting, const char *format,
		     ...) __attribute__((format(printf, 4, 5)));

/* The same for one value of a list, told where that value stands. */
void value_mistake(struct reader *reader, const char *title, struct setting *setting, unsigned at,
		   const char *format, ...) __attribute__((format(printf, 5, 6)));

/* scalar.c: the words of `section` that are one number, time, choice ..., into the struct at base: what holds when
   nothing is said, and what is said. */
void scalar_usual(enum section_kind section, void *base);
void scalar_fill(struct reader *reader, enum section_kind section, const struct effective *effective,
		 void *base);

/* build_top.c, build_service.c, build_server.c: words to plain structs. */
void build_top(struct reader *reader);
void build_service(struct reader *reader, const struct section *section, const struct effective *effective,
		   struct table_service *service);
void build_server(struct reader *reader, const struct effective *effective, struct table_server *server);

/* build_identity.c: who a server runs as. */
void build_identity(struct reader *reader, const struct effective *effective, struct table_server *server);

/* build_common.c: words that stand in more than one section. */
void build_log(struct reader *reader, const char *title, struct setting *setting, struct table_log *log);
const char *build_path(struct reader *reader, const char *title, struct setting *setting);
struct table_id_list build_users(struct reader *reader, const char *title, struct setting *setting);
struct table_id_list build_groups(struct reader *reader, const char *title, struct setting *setting);
bool build_user(struct reader *reader, const char *title, struct setting *setting, struct user **user);
bool build_group(struct reader *reader, const char *title, struct setting *setting, gid_t *gid);
struct origin origin_of(const struct setting *setting);

/* env_file.c: NAME=VALUE lines of a file, NULL-terminated; read once. NULL: told. */
const char **env_file_read(struct reader *reader, const char *title, struct setting *setting, unsigned at);

/* check.c: what no single word shows. After all services were built. */
void check_service(struct reader *reader, const struct section *section, const struct effective *effective,
		   const struct table_service *service);
void check_table(struct reader *reader);

/* overlap.c: no two sockets on one address, no two processes with one pidfile. */
void overlap_check(struct reader *reader);

/* table.c: the words that hold for a service of a table, read again from its files.  `options` and the name live as long
   as the reader.  NULL: no memory.  Freed with reader_close_words(). */
struct reader *reader_open_words(const char *file, const struct table_options *options, const char *service,
				 struct effective *effective);
void reader_close_words(struct reader *reader);

/* read.c: the main file and what it includes, into the sections above. */
void read_table(struct reader *reader, const char *file);

/* read.c: a file that the table depends on, for table_changed_on_disk(). */
void read_remember(struct reader *reader, const char *path, const struct stat *status, const char *text,
		   size_t length);

/* files.c: as source_load(), from the files that were handed over when there are such. */
int files_load(struct reader *reader, const char *path, bool plain, char **text, size_t *length,
	       struct stat *status);
/* Those of them that the pattern matches, in the order of their names. */
const char **files_matches(struct reader *reader, const char *pattern, size_t *count);

/* statement.c: one top-level statement is taken in. */
void statement_take(struct reader *reader, struct lexer *lexer, struct statement *statement);

/* read.c: include("..."), asked for at that place of a file at that depth. */
void read_include(struct reader *reader, struct place place, unsigned depth, const char *pattern);

#endif
