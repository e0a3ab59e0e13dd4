/*
 * test_partial.c: tables that name only what has changed, at the dispatcher.
 */
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#include "rig.h"
#include "suite.h"

static struct rig rig;

static void set_up(void)
{
	rig_open(&rig);
}

static void tear_down(void)
{
	rig_close(&rig);
}

static void begin(uint32_t services, uint32_t listeners)
{
	struct link_message message = {.type = LINK_BEGIN};
	message.begin = (struct link_begin){
		.table = ++rig.tables, .services = services, .listeners = listeners, .partial = 1};
	rig_say(&rig, &message, NULL, 0);
}

static void name_service(uint32_t index, uint32_t fresh, uint32_t gone)
{
	struct link_message message = {.type = LINK_SERVICE};
	message.service = rig.service;
	message.service.service = index;
	message.service.fresh = fresh;
	message.service.gone = gone;
	snprintf(message.service.name, sizeof(message.service.name), "s%u", index);
	rig_say(&rig, &message, NULL, 0);
}

/* fd -1: the one that it has. */
static void name_listener(uint32_t index, uint32_t service, int fd)
{
	struct link_message message = {.type = LINK_LISTENER};
	message.listener.listener = index;
	message.listener.service = service;
	rig_say(&rig, &message, &fd, fd >= 0);
}

static void commit(void)
{
	struct link_message message = {.type = LINK_COMMIT};
	message.commit.table = rig.tables;
	rig_say(&rig, &message, NULL, 0);
	rig_expect(&rig, LINK_COMMITTED);
}

/* Service 1 with listener 1, beside service 0 and its listener that the whole table had. */
static struct listener *add_one(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	rig_table(&rig, NULL, 0, 0);
	begin(1, 1);
	name_service(1, 1, 0);
	name_listener(1, 1, fd);
	commit();
	close(fd);
	ck_assert_ptr_nonnull(rig.d->listener[1]);
	return rig.d->listener[1];
}

START_TEST(test_unnamed_stays)
{
	struct rig_server server;
	add_one();
	ck_assert_ptr_nonnull(rig.d->service[1]);
	ck_assert(!rig.d->service[1]->removed);
	ck_assert(!rig.d->service[0]->removed);
	ck_assert_ptr_eq(rig.d->listener[0]->service, rig.d->service[0]);
	rig_server(&rig, &server, 0, 0, 1);
	int client = rig_connect(&rig);
	rig_until_accepted(&rig, 1);
	close(client);
	rig_server_close(&server);
}
END_TEST

START_TEST(test_listener_moves)
{
	struct listener *moving = add_one();
	begin(2, 1);
	name_service(1, 0, 0);
	name_service(2, 1, 0);
	name_listener(1, 2, -1);
	commit();
	ck_assert_ptr_eq(rig.d->listener[1], moving);
	ck_assert_ptr_eq(moving->service, rig.d->service[2]);
	ck_assert_ptr_null(rig.d->service[1]->listeners);
	ck_assert_ptr_nonnull(rig.d->listener[0]);
}
END_TEST

/* A service that is named has the listeners that are named with it, and no other. */
START_TEST(test_named_without_listener)
{
	add_one();
	begin(1, 0);
	name_service(1, 0, 0);
	commit();
	ck_assert_ptr_null(rig.d->listener[1]);
	ck_assert(!rig.d->service[1]->removed);
	ck_assert_ptr_nonnull(rig.d->listener[0]);
}
END_TEST

START_TEST(test_gone)
{
	add_one();
	begin(2, 0);
	name_service(1, 0, 1);
	name_service(9, 0, 1); /* one that it never knew */
	commit();
	ck_assert_ptr_null(rig.d->service[1]);
	ck_assert_ptr_null(rig.d->listener[1]);
	ck_assert_ptr_null(rig.d->service[9]);
	ck_assert_ptr_nonnull(rig.d->listener[0]);
	ck_assert_uint_eq(rig.d->listener_count, 1);
}
END_TEST

/* To a new dispatcher: it is there as long as the server that finishes, and nobody else registers for it. */
START_TEST(test_gone_with_a_server)
{
	struct link_message message = {.type = LINK_SERVER};
	struct rig_server server;
	rig_server_pair(&rig, &server, 0);
	begin(2, 0);
	rig.d->staging->begin.partial = 0;
	rig.d->staging->begin.servers = 1;
	name_service(0, 0, 0);
	name_service(1, 0, 1);
	message.server = (struct link_server){.slot = 0,
					      .generation = server.generation,
					      .service = 1,
					      .instance = 1,
					      .flags = LINK_SERVER_DRAINING,
					      .pid = getpid(),
					      .uid = getuid(),
					      .gid = getgid()};
	rig_say(&rig, &message, (int[]){server.ours, server.theirs}, 2);
	commit();
	ck_assert_ptr_nonnull(rig.d->server[0]);
	ck_assert_str_eq(rig.d->service[1]->name, "s1");
	ck_assert_ptr_nonnull(service_by_name(rig.d, "s0"));
	ck_assert_ptr_null(service_by_name(rig.d, "s1"));

	message = (struct link_message){.type = LINK_SERVER_DIED};
	message.slot = (struct link_slot){.slot = 0, .generation = server.generation};
	rig_say(&rig, &message, NULL, 0);
	rig_expect(&rig, LINK_SLOT_FREE);
	rig_turn(&rig);
	ck_assert_ptr_null(rig.d->service[1]);
	rig_server_close(&server);
}
END_TEST

START_TEST(test_rules_are_replaced)
{
	struct link_message message = {.type = LINK_RULE};
	message.rule = (struct link_rule){.service = 0, .kind = LINK_RULE_UID, .id = 7};
	rig.with_rule = true;
	rig.rule = message.rule;
	rig_table(&rig, NULL, 0, 0);
	rig.service.fresh = 0;
	begin(1, 1);
	name_service(0, 0, 0);
	message.rule.id = 8;
	rig_say(&rig, &message, NULL, 0);
	name_listener(0, 0, -1);
	commit();
	ck_assert_uint_eq(rig.d->service[0]->set->rule_count, 1);
	ck_assert_uint_eq(rig.d->service[0]->set->rule[0].id, 8);
}
END_TEST

/* What is the same for many is said once, and kept once. */
START_TEST(rules_of_another)
{
	struct link_message message = {.type = LINK_RULE};

	rig_table(&rig, NULL, 0, 0);
	begin(2, 0);
	name_service(1, 1, 0);
	message.rule = (struct link_rule){.service = 1, .kind = LINK_RULE_UID, .id = 7};
	rig_say(&rig, &message, NULL, 0);
	rig.service.rules_as = 2;
	name_service(2, 1, 0);
	rig.service.rules_as = 0;
	commit();
	ck_assert_uint_eq(rig.d->service[2]->set->rule_count, 1);
	ck_assert_uint_eq(rig.d->service[2]->set->rule[0].id, 7);
	ck_assert_ptr_eq(rig.d->service[1]->set, rig.d->service[2]->set);
	ck_assert_ptr_ne(rig.d->service[0]->set, rig.d->service[2]->set);
	/* One of them changes. */
	begin(1, 0);
	name_service(2, 0, 0);
	commit();
	ck_assert_uint_eq(rig.d->service[1]->set->rule_count, 1);
	ck_assert_uint_eq(rig.d->service[2]->set->rule_count, 0);
}
END_TEST

/* A new dispatcher must not believe that a part is all. */
START_TEST(test_refused)
{
	struct link_begin part = {.table = 1, .partial = 1};
	ck_assert_int_eq(staging_begin(rig.d, &part), 0);
	ck_assert_ptr_nonnull(staging_check(rig.d, 1));
	staging_drop(rig.d);
	rig_table(&rig, NULL, 0, 0);
	ck_assert_int_eq(staging_begin(rig.d, &part), 0);
	ck_assert_ptr_null(staging_check(rig.d, 1));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_unnamed_stays, test_listener_moves,     test_named_without_listener,
		test_gone,          test_gone_with_a_server, test_rules_are_replaced, rules_of_another,
		test_refused};
	Suite *suite = suite_create("partial");
	TCase *tcase = tcase_create("partial");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_set_timeout(tcase, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
