/*
 * schema.h: every word of the table, where it belongs, and whether this release has it.
 */
#ifndef SCHEMA_H
#define SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

enum section_kind {
	SECTION_TOP,
	SECTION_DISPATCHER,
	SECTION_SERVICE,
	SECTION_SERVER,
	SECTION_SOCKET,
	SECTION_KINDS
};

enum word_kind {
	WORD_ONE,     /* one value */
	WORD_LIST,    /* a value or several */
	WORD_SECTION, /* NAME { } */
	WORD_TITLED,  /* NAME "TITLE" { } */
	WORD_CALL,    /* NAME("...") */
	WORD_LATER,   /* known, of a release to come */
};

/* The words that this release has; they number settings. */
enum word_id {
	W_RUNTIME_DIR,
	W_PIDFILE,
	W_LOG,
	W_LOG_LEVEL,
	W_ADMIN_USERS,
	W_ADMIN_GROUPS,
	W_STATUS_USERS,
	W_STATUS_GROUPS,
	W_INCLUDE,
	W_DISPATCHER,
	W_DEFAULTS,
	W_SERVICE,
	W_DISPATCHER_USER,
	W_DISPATCHER_GROUP,
	W_DISPATCHER_CHROOT,
	W_MODE,
	W_LISTEN,
	W_OPTIONAL,
	W_BALANCE,
	W_ACKNOWLEDGE,
	W_TAKE_TIMEOUT,
	W_WINDOW,
	W_OVERLOAD,
	W_REGISTER_USERS,
	W_REGISTER_GROUPS,
	W_MAX_REGISTERED,
	W_ALLOW_ROOT,
	W_ALLOW_FOREIGN,
	W_START,
	W_DRAIN_TIMEOUT,
	W_SERVER,
	W_COMMAND,
	W_DIRECTORY,
	W_USER,
	W_GROUP,
	W_GROUPS,
	W_CHROOT,
	W_ENV,
	W_ENV_FILE,
	W_PASS_ENV,
	W_UMASK,
	W_NICE,
	W_INSTANCES,
	W_READY_TIMEOUT,
	W_STOP_SIGNAL,
	W_STOP_TIMEOUT,
	W_RESTART,
	W_RESTART_DELAY,
	W_RESTART_DELAY_MAX,
	W_RESTART_LIMIT,
	W_RESTART_RESET_AFTER,
	W_RLIMIT_NOFILE,
	W_RLIMIT_CORE,
	W_RLIMIT_AS,
	W_RLIMIT_CPU,
	W_RLIMIT_NPROC,
	W_RLIMIT_FSIZE,
	W_RLIMIT_STACK,
	W_SERVER_PIDFILE,
	W_SERVER_LOG,
	WORD_COUNT,
	WORD_NONE = WORD_COUNT,
};

struct word {
	const char *name;
	enum section_kind section;
	enum word_kind kind;
	enum word_id id;
	const char *usual; /* the default as one would write it; NULL: none, or none that fits a word */
};

extern const struct word schema_word[];
extern const size_t schema_count;

/* NULL: not a word of this section. */
const struct word *schema_find(enum section_kind section, const char *name);
const struct word *schema_by_id(enum word_id id);

/* "server { }" and the like. */
const char *schema_section_name(enum section_kind section);

/*
 * What to say of a name that is no word of `section`: where it belongs, or the nearest one.  Into text, NUL-terminated.
 */
void schema_explain(enum section_kind section, const char *name, char *text, size_t size);

#endif
