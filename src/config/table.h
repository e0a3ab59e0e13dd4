/*
 * table.h: the service table as plain structs, after everything was parsed, checked and resolved.  Nothing
 * here knows libConfuse.  A table is made by table_read(), owned by its caller, immutable after, and
 * released with table_free(); every pointer inside belongs to it.
 */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "address.h"

#define TABLE_NAME 64 /* bytes of a service's name with its NUL */

/* What the daemon has room for: no more than the board (link/board.h) can hold. */
#define TABLE_SERVICES_MAX 32768u
#define TABLE_LISTENERS_MAX 65536u
#define TABLE_SERVERS_MAX 8192u

/* Where a setting comes from. line 0: built-in default. */
struct origin {
	const char *file; /* owned by the table */
	unsigned line;
	bool from_defaults; /* inherited from defaults { } */
};

enum severity { MISTAKE, WARNING };

/* What is wrong, in the order of file and line. */
struct diagnostic {
	enum severity severity;
	char *text; /* whole line: "FILE:LINE: SERVICE: WORD: what is wrong (what would be right)" */
};

struct diagnostics {
	struct diagnostic *item;
	size_t count, mistakes, warnings;
};

void diagnostics_free(struct diagnostics *diagnostics);

/* One more, as it is.  0 or -ENOMEM. */
int diagnostics_add(struct diagnostics *diagnostics, enum severity severity, const char *text);

enum table_mode { MODE_CONNECTIONS };
enum table_balance { BALANCE_ROUND_ROBIN, BALANCE_LEAST_CONNECTIONS, BALANCE_SOURCE_HASH };
enum table_acknowledge { ACKNOWLEDGE_TAKEN, ACKNOWLEDGE_DONE };
enum table_overload { OVERLOAD_WAIT, OVERLOAD_REFUSE };
enum table_start { START_ALWAYS, START_EXTERNAL };
enum table_restart { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };
enum table_log_kind { LOG_DEFAULT, LOG_SYSLOG, LOG_STDERR, LOG_JOURNAL, LOG_PATH };

struct table_log {
	enum table_log_kind kind; /* LOG_DEFAULT: the daemon's; for the daemon: stderr with run, syslog with start */
	const char *path;         /* LOG_PATH: absolute */
};

struct table_listen {
	struct address address;  /* a wildcard of both families gives two of these with the same said and position */
	const char *said;        /* as written, "*:80" or "NAME=*:80" */
	unsigned line;           /* in the file of the service */
	uint16_t position;       /* of the word in `listen`, from 0 */
	uint8_t name_length;     /* of the NAME that `said` begins with; 0: none */
	bool v6_may_lack;        /* the [::] half of a wildcard: no error on a machine without IPv6 */
};

/* socket { } is for a later release; its defaults are constants of supervisor/listen.c. */

struct table_id_list {
	uint32_t *id;
	size_t count;
};

struct table_limit { /* rlimit-*: set or left as the daemon was started */
	bool set;
	int resource; /* RLIMIT_NOFILE ... */
	rlim_t value; /* RLIM_INFINITY for "unlimited" */
};
#define TABLE_LIMITS 7 /* nofile core as cpu nproc fsize stack, in this order */

struct table_server {
	char **command;          /* argv, NULL-terminated; NULL: none */
	const char *directory;   /* "/" */
	const char *chroot;      /* NULL: none */
	bool user_set;
	uid_t uid;
	gid_t gid;
	const char *user_name, *user_home, *user_shell; /* from the entry; "" when the user is a bare number without one */
	struct table_id_list groups; /* supplementary ones, complete */
	char **env;              /* NAME=VALUE from env-file then env, merged; NULL-terminated */
	char **pass_env;         /* names; NULL-terminated */
	mode_t umask;
	int nice;
	unsigned instances;
	uint32_t ready_timeout_ms;
	int stop_signal;
	uint32_t stop_timeout_ms;
	enum table_restart restart;
	uint32_t restart_delay_ms, restart_delay_max_ms, restart_reset_after_ms;
	unsigned restart_limit;  /* 0: none */
	struct table_limit limit[TABLE_LIMITS];
	const char *pidfile;     /* NULL: RUNTIME-DIR/SERVICE[.N].pid; may hold no %; with several instances .N goes before ".pid" */
	struct table_log log;
	struct origin command_origin, user_origin;
};

/* How a service's connections are dispatched.  Most services say nothing of their own here: those of which the same
   holds share one. */
struct table_dispatch {
	enum table_mode mode;
	enum table_balance balance;
	enum table_acknowledge acknowledge;
	enum table_overload overload;
	uint32_t take_timeout_ms, drain_timeout_ms;
	unsigned window;
	unsigned max_registered;
	bool allow_root, allow_foreign;
	struct table_id_list register_users, register_groups;
};

/* There may be ten thousand: what is not of each of them is somewhere else. */
struct table_service {
	const char *name;
	const char *file;        /* its name stands there, at `line` */
	const struct table_dispatch *dispatch;
	struct table_listen *listen;
	struct table_server *server; /* without one: that of nobody, shared, with what holds when nothing is said */
	unsigned line;
	uint32_t listen_count;
	enum table_start start;
	bool optional;
	bool has_server;
};

struct table {
	char *file;              /* the main file */
	struct table_service *service; /* in the order of the table */
	size_t service_count;
	/* top level */
	char *runtime_dir, *pidfile;   /* with defaults filled in */
	bool runtime_dir_set;
	bool dispatcher_user_set;
	char *dispatcher_user;   /* name for messages */
	uid_t dispatcher_uid;
	gid_t dispatcher_gid;
	char *dispatcher_chroot; /* with default filled in */
	struct table_log log;
	unsigned log_level;      /* enum logger_level */
	struct table_id_list admin_users, admin_groups, status_users, status_groups;
	bool status_restricted;  /* status-users or -groups was said */
	/* every file read, for config_changed: path, device, inode, size, mtime */
	struct table_file {
		char *path;
		dev_t device;
		ino_t inode;
		off_t size;
		struct timespec modified;
		const char *text;    /* as it was read: `upgrade` hands it on */
		size_t length;
	} *file_read;
	size_t file_count;
	void *arena;             /* internal: owns the strings */
};

struct progress;

struct table_options {
	bool privileged;         /* root's rules: user must be said, defaults of root */
	const char *runtime_dir; /* from -r or LUST_RUNTIME_DIR: overrides the table; NULL: none */
	const struct table_file *file; /* read these in place of the disk: a table's file_read; NULL: the disk */
	size_t file_count;
	bool regular;            /* the main file, too, has to be a regular one: nothing is waited for */
	struct progress *progress; /* told what is waited for; NULL: nobody wants to know */
};

/*
 * Reads, checks and resolves.  Returns the table, or NULL when there was any mistake (or no memory:
 * then a diagnostic says so).  *diagnostics is filled in both cases and the caller's to free.
 */
struct table *table_read(const char *file, const struct table_options *options, struct diagnostics *diagnostics);
void table_free(struct table *table);

/* Only `runtime-dir`, from a table that may be broken otherwise: what a client command needs. A copy for the
   caller to free, or NULL when the table does not say one (or cannot be read). */
char *table_runtime_dir(const char *file);

/* The default for this user: root /run/lust-inetd; else $XDG_RUNTIME_DIR/lust-inetd or /tmp/lust-inetd-UID. For the caller to free. */
char *table_default_runtime_dir(void);

/* Did any file of the table change on disk since it was read?  *when (may be NULL): its time. */
bool table_changed_on_disk(const struct table *table, struct timespec *when);

/* `show SERVICE`: effective settings, one a line, each with where it comes from; env values only when reveal.  The words
   are read again, from the files as they were.  0 or -ENOMEM. */
int table_show(FILE *out, const struct table *table, const struct table_service *service, bool reveal);

/*
 * What a reload has to do, by name.  Services and, within them, listeners (keyed by kind, family and address) are
 * matched between old and new.  Pure; owned by the caller.
 */
enum table_change {
	CHANGE_NONE = 0,
	CHANGE_DISPATCH = 1,  /* balance, window, rules, overload ...: a new record for the dispatcher */
	CHANGE_LISTEN = 2,    /* addresses */
	CHANGE_SERVER = 4,    /* server { }: running servers must be replaced */
	CHANGE_COUNT = 8,     /* only `instances` */
};

struct table_diff {
	struct table_pair {
		const struct table_service *before, *after; /* NULL: added, removed */
		unsigned change;                            /* enum table_change */
	} *pair;
	size_t count;
	bool needs_restart;      /* runtime-dir, pidfile or dispatcher changed: told, not done */
};

bool table_same_dispatch(const struct table_dispatch *a, const struct table_dispatch *b);
bool table_needs_restart(const struct table *before, const struct table *after); /* the last of them, alone */
int table_diff(const struct table *before, const struct table *after, struct table_diff *diff);
void table_diff_free(struct table_diff *diff);

const struct table_service *table_find(const struct table *table, const char *name);

/* The name in `names` that `word` most likely meant, or NULL. */
const char *nearest_name(const char *word, const char *const *names, size_t count);

#endif
