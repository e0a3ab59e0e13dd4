/*
 * state_fields.c: what `upgrade` saves of each struct: a new member that has to outlive the program gets a line here.
 * Times are of CLOCK_MONOTONIC or the wall clock: both go on.
 *
 * SPDX-License-Identifier: ISC
 */
#include <stddef.h>

#include "control_client.h"
#include "sources.h"
#include "targets.h"
#include "upgrade.h"

#define NUMBER(type, member) STATE_MEMBER(type, member, #member, STATE_UNSIGNED, 0)
#define AT_MOST(type, member, most) STATE_MEMBER(type, member, #member, STATE_UNSIGNED, most)
#define SIGNED(type, member) STATE_MEMBER(type, member, #member, STATE_SIGNED, 0)
#define FD(type, member) STATE_MEMBER(type, member, #member, STATE_FD, 0)
#define TEXT(type, member) STATE_MEMBER(type, member, #member, STATE_TEXT, 0)
#define STRING(type, member) STATE_MEMBER(type, member, #member, STATE_STRING, 0)
#define FLAG(type, member) AT_MOST(type, member, 1)
#define END                                                                                                  \
	{                                                                                                    \
		NULL, STATE_UNSIGNED, 0, 0, 0                                                                \
	}

const struct state_field state_daemon_fields[] = {
	FLAG(struct supervisor, foreground),
	FLAG(struct supervisor, verbose),
	NUMBER(struct supervisor, started_ms),
	NUMBER(struct supervisor, table_generation),
	STRING(struct supervisor, config_file),
	STRING(struct supervisor, runtime_dir),
	STRING(struct supervisor, pidfile),
	STRING(struct supervisor, jail),
	STRING(struct supervisor, notify_socket),
	NUMBER(struct supervisor, helper_uid),
	NUMBER(struct supervisor, helper_gid),
	NUMBER(struct supervisor, nofile_at_start.rlim_cur),
	NUMBER(struct supervisor, nofile_at_start.rlim_max),
	FD(struct supervisor, runtime_dir_fd),
	FD(struct supervisor, lock_fd),
	FD(struct supervisor, door_fd),
	FD(struct supervisor, pidfile_fd),
	FD(struct supervisor, groups_fd),
	FD(struct supervisor, board_fd),
	FD(struct supervisor, control_fd),
	AT_MOST(struct supervisor, slot_turn.next, BOARD_SLOTS),
	AT_MOST(struct supervisor, slot_turn.high, BOARD_SLOTS),
	AT_MOST(struct supervisor, service_turn.next, BOARD_SERVICES),
	AT_MOST(struct supervisor, service_turn.high, BOARD_SERVICES),
	AT_MOST(struct supervisor, listener_turn.next, BOARD_LISTENERS),
	AT_MOST(struct supervisor, listener_turn.high, BOARD_LISTENERS),
	NUMBER(struct supervisor, reload_s),
	FLAG(struct supervisor, reload_ok),
	END,
};

const struct state_field state_dispatcher_fields[] = {
	SIGNED(struct supervisor, dispatcher.pid),
	NUMBER(struct supervisor, dispatcher.generation),
	AT_MOST(struct supervisor, dispatcher.epoch, INT16_MAX),
	FD(struct supervisor, dispatcher.link.fd),
	FD(struct supervisor, dispatcher.events[0]),
	FD(struct supervisor, dispatcher.events[1]),
	NUMBER(struct supervisor, dispatcher.started_ms),
	NUMBER(struct supervisor, dispatcher.ping_sent),
	NUMBER(struct supervisor, dispatcher.mark_sent),
	NUMBER(struct supervisor, dispatcher.mark_reached),
	NUMBER(struct supervisor, dispatcher.pushes),
	NUMBER(struct supervisor, dispatcher.commits),
	NUMBER(struct supervisor, dispatcher.restarts),
	NUMBER(struct supervisor, dispatcher.failures),
	TEXT(struct supervisor, dispatcher.last_exit),
	END,
};

const struct state_field state_logger_fields[] = {
	SIGNED(struct supervisor, logger.pid),         FD(struct supervisor, logger.link.fd),
	NUMBER(struct supervisor, logger.next_source), NUMBER(struct supervisor, logger.failures),
	NUMBER(struct supervisor, logger.started_ms),  FD(struct supervisor, logger.theirs),
	NUMBER(struct supervisor, logger.lost_lines),
	END,
};

const struct state_field state_service_fields[] = {
	AT_MOST(struct service, index, BOARD_SERVICES - 1),
	NUMBER(struct service, generation),
	FLAG(struct service, fresh),
	FLAG(struct service, down),
	FLAG(struct service, paused),
	NUMBER(struct service, state_since_s),
	AT_MOST(struct service, state, SERVICE_READY),
	NUMBER(struct service, log_target),
	END,
};

const struct state_field state_service_more_fields[] = {
	NUMBER(struct service_more, paused_by),
	NUMBER(struct service_more, paused_since_s),
	NUMBER(struct service_more, roll_failed),
	NUMBER(struct service_more, roll_instance),
	TEXT(struct service_more, roll_exit),
	TEXT(struct service_more, roll_line),
	FLAG(struct service_more, roll_waits),
	SIGNED(struct service_more, stop_signal),
	NUMBER(struct service_more, stop_timeout_ms),
	NUMBER(struct service_more, drain_timeout_ms),
	END,
};

const struct state_field state_listener_fields[] = {
	AT_MOST(struct listener, index, BOARD_LISTENERS - 1),
	FD(struct listener, fd),
	FLAG(struct listener, pushed),
	END,
};

const struct state_field state_listener_more_fields[] = {
	SIGNED(struct listener_more, error),
	NUMBER(struct listener_more, unix_device),
	NUMBER(struct listener_more, unix_inode),
	NUMBER(struct listener_more, tries),
	NUMBER(struct listener_more, retry_ms),
	END,
};

const struct state_field state_server_fields[] = {
	NUMBER(struct server, slot),
	NUMBER(struct server, generation),
	NUMBER(struct server, instance),
	FLAG(struct server, external),
	AT_MOST(struct server, phase, PHASE_FAILED),
	NUMBER(struct server, phase_since_ms),
	NUMBER(struct server, until_ms),
	SIGNED(struct server, pid),
	SIGNED(struct server, group),
	NUMBER(struct server, uid),
	NUMBER(struct server, gid),
	NUMBER(struct server, source),
	FD(struct server, exec_error),
	FD(struct server, pidfile_fd),
	STRING(struct server, pidfile_path),
	NUMBER(struct server, started_ms),
	NUMBER(struct server, restarts),
	NUMBER(struct server, failures),
	TEXT(struct server, last_exit),
	NUMBER(struct server, last_exit_s),
	TEXT(struct server, last_line),
	TEXT(struct server, label),
	FLAG(struct server, retiring),
	FLAG(struct server, newcomer),
	FLAG(struct server, replaced),
	FLAG(struct server, misbehaved),
	FLAG(struct server, clean),
	NUMBER(struct server, built),
	NUMBER(struct server, patience),
	END,
};

const struct state_field state_slot_fields[] = {
	FLAG(struct slot, used),
	FLAG(struct slot, dead),
	FLAG(struct slot, told),
	FLAG(struct slot, settling),
	NUMBER(struct slot, generation),
	FD(struct slot, ours),
	FD(struct slot, theirs),
	FD(struct slot, lifeline),
	AT_MOST(struct slot, record.slot, BOARD_SLOTS - 1),
	NUMBER(struct slot, record.generation),
	AT_MOST(struct slot, record.service, BOARD_SERVICES - 1),
	NUMBER(struct slot, record.instance),
	NUMBER(struct slot, record.flags),
	SIGNED(struct slot, record.pid),
	NUMBER(struct slot, record.uid),
	NUMBER(struct slot, record.gid),
	TEXT(struct slot, record.label),
	END,
};

const struct state_field state_target_fields[] = {
	AT_MOST(struct log_target, kind, LOGGER_FILE),
	STRING(struct log_target, path),
	FD(struct log_target, fd),
	FLAG(struct log_target, used),
	END,
};

const struct state_field state_source_fields[] = {
	NUMBER(struct log_source, number),
	NUMBER(struct log_source, target),
	NUMBER(struct log_source, instance),
	NUMBER(struct log_source, generation),
	SIGNED(struct log_source, pid),
	FD(struct log_source, fd),
	TEXT(struct log_source, name),
	END,
};

const struct state_field state_client_fields[] = {
	FD(struct control_client, fd),
	NUMBER(struct control_client, uid),
	AT_MOST(struct control_client, phase, CLIENT_WAITING),
	NUMBER(struct control_client, request.version),
	NUMBER(struct control_client, request.command),
	NUMBER(struct control_client, request.flags),
	TEXT(struct control_client, request.service),
	TEXT(struct control_client, undone),
	NUMBER(struct control_client, mark),
	END,
};
