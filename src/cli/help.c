/*
 * help.c: one screen of all commands, a paragraph of each.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "short_forms.h"

static const char overview[] =
	"usage: lust-inetd [-c FILE] [-r RUNTIME-DIR] [-v] COMMAND [ARGUMENT...]\n"
	"\n"
	"  run                    stay in the foreground, log to standard error\n"
	"  start                  become a daemon; returns when every address is bound\n"
	"  stop, restart [--now]  the daemon; --now without draining\n"
	"  reload                 read the table again, all or nothing\n"
	"  upgrade                replace the running programs by those on disk\n"
	"\n"
	"  status [SERVICE]       how it is; --json, --problems (only trouble, exit 1)\n"
	"  list                   the services' names\n"
	"  up, down, roll SERVICE...   start, stop, replace the servers of services;\n"
	"                         patterns like 'web*', or --all\n"
	"  pause, resume SERVICE...    give its servers no new connection; go on\n"
	"\n"
	"  check [FILE]           every mistake of the table; --strict counts warnings\n"
	"  show SERVICE           settings in effect and where they come from; --running\n"
	"  version, help [COMMAND]\n"
	"\n"
	"  -c FILE         the table, default " SYSCONFDIR "/lust-inetd.conf\n"
	"  -r RUNTIME-DIR  the daemon's directory (also LUST_RUNTIME_DIR)\n"
	"  -v              more in the log, with run and start\n"
	"\n"
	"Exit: 0 done  1 failed  3 not running  4 cannot tell, or not permitted\n"
	"      64 usage  78 bad table.  More: man 8 lust-inetd, man 5 lust-inetd.conf\n";

struct paragraph {
	const char *command, *usage, *text;
};

static const struct paragraph paragraph[] = {
	{"run", "run",
	 "Stays in the foreground and logs to standard error. For systemd, containers and trying out. Tells "
	 "READY, "
	 "RELOADING and STOPPING to NOTIFY_SOCKET if there is one. TERM or INT stops it, HUP reloads."},
	{"start", "start",
	 "Becomes a daemon. Returns when every address is bound and the dispatcher has taken the table, or "
	 "with the "
	 "error. Of a running daemon it only says so."},
	{"stop", "stop [--now]",
	 "Stops the daemon: no more accepting, servers finish what they hold (drain-timeout), then end. "
	 "Returns when "
	 "the daemon is gone. --now does not wait for connections. The servers of one service: lust-inetd "
	 "down."},
	{"restart", "restart [--now]",
	 "stop, then start with the same table unless -c names one. A table with mistakes stops nothing. The "
	 "servers "
	 "of one service: lust-inetd roll."},
	{"reload", "reload",
	 "Reads the table again. With a mistake nothing changes, every mistake is told, exit 78. Exit 1: the "
	 "new "
	 "table is in force but an address could not be bound yet, or the old one stays because the new one "
	 "could not "
	 "be read within 30 s."},
	{"upgrade", "upgrade",
	 "Replaces supervisor, dispatcher and logger by the programs now on disk: same pid, no socket "
	 "closed, "
	 "no server "
	 "stopped; the table in force stays. Returns when the new ones work, or 1 and why when the old ones "
	 "go "
	 "on. "
	 "Also SIGUSR2."},
	{"status", "status [SERVICE] [--json] [--problems]",
	 "How it is, worst first; each trouble says why. With SERVICE: addresses, connections and every "
	 "server. "
	 "--problems tells only trouble and exits 1 if there is any. --json: one object, for programs."},
	{"list", "list", "The services' names, a line each, in the order of the table."},
	{"up", "up SERVICE... | --all",
	 "Starts the servers of these services, also failed ones. Returns when all are ready; 1 and why if "
	 "one does "
	 "not come up. Patterns are fine: 'web*'."},
	{"down", "down SERVICE... | --all",
	 "Stops the servers of these services; returns when none is left. Lasts over reloads. Addresses stay "
	 "bound: "
	 "clients wait in the backlog until up, or are refused where the table says overload = refuse."},
	{"roll", "roll SERVICE... | --all",
	 "Replaces the servers of these services, a new one ready before an old one drains; returns when all "
	 "are new, 1 and why if one does not come up: the old ones serve on then."},
	{"pause", "pause SERVICE... | --all",
	 "Hands out no new connection of these services until resume, over reloads, too. Servers run on and "
	 "keep what "
	 "they hold; addresses stay bound: clients wait in the backlog, or are refused where the table says "
	 "overload = "
	 "refuse. Returns when the dispatcher has stopped."},
	{"resume", "resume SERVICE... | --all", "Ends pause: who waits is served."},
	{"check", "check [FILE] [--strict]",
	 "Reads the table as run would, binds nothing, tells every mistake. Exit 78 if there is one; with "
	 "--strict "
	 "for warnings, too."},
	{"show", "show SERVICE [--running]",
	 "Every setting in effect and where it comes from. --running asks the daemon for what is in force. "
	 "Values of "
	 "env are shown to root only."},
	{"version", "version",
	 "This program's version, and that of the daemon that runs. --version: only this one's."},
	{"help", "help [COMMAND]", "All commands, or one."},
};

int command_help(const struct arguments *arguments)
{
	if (!arguments->words) {
		fputs(overview, stdout);
		return EXIT_DONE;
	}
	for (size_t i = 0; i < sizeof(paragraph) / sizeof(paragraph[0]); i++) {
		if (strcmp(paragraph[i].command, arguments->word[0]) != 0)
			continue;
		printf("usage: lust-inetd [-c FILE] [-r RUNTIME-DIR] [-v] %s\n\n", paragraph[i].usage);
		format_wrap(stdout, 0, paragraph[i].text);
		return EXIT_DONE;
	}
	printf("%s: not supported yet\n", arguments->word[0]);
	return EXIT_DONE;
}
