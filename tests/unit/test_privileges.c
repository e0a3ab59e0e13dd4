/*
 * test_privileges.c: the jail and the drop.  What needs root is skipped without it, and said to be.
 */
#include <check.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lust.h"

#define UID 54321
#define GID 54322

START_TEST(drops_everything)
{
	static const gid_t groups[] = {7003, 7001, 7002};
	gid_t have[8];
	uid_t r, e, s;

	ck_assert_int_eq(lust_drop_privileges(UID, GID, groups, 3), 0);
	ck_assert_int_eq(getresuid(&r, &e, &s), 0);
	ck_assert(r == UID && e == UID && s == UID);
	ck_assert_int_eq(getresgid(&r, &e, &s), 0);
	ck_assert(r == GID && e == GID && s == GID);
	ck_assert_int_eq(getgroups(8, have), 3);
	ck_assert_int_eq(setuid(0), -1);
	ck_assert_int_eq(setgid(0), -1);

	/* Once more: nothing has to change, so nothing is lacking.  Anything else is refused. */
	ck_assert_int_eq(lust_drop_privileges(UID, GID, groups, 3), 0);
	ck_assert_int_eq(lust_drop_privileges(UID, GID, groups, 2), -EPERM);
	ck_assert_int_eq(lust_drop_privileges(UID + 1, GID, groups, 3), -EPERM);
	ck_assert_int_eq(lust_drop_privileges(UID, GID + 1, groups, 3), -EPERM);
	ck_assert_int_eq(lust_jail("/"), -EPERM);
}
END_TEST

START_TEST(drops_all_groups)
{
	ck_assert_int_eq(lust_drop_privileges(UID, GID, NULL, 0), 0);
	ck_assert_int_eq(getgroups(0, NULL), 0);
}
END_TEST

/* Capabilities kept over the change of uid: there is a way back, and it is told. */
START_TEST(finds_the_way_back)
{
	ck_assert_int_eq(prctl(PR_SET_KEEPCAPS, 1), 0);
	ck_assert_int_eq(prctl(PR_SET_SECUREBITS, 1 << 2 /* SECBIT_NO_SETUID_FIXUP */), 0);
	ck_assert_int_eq(lust_drop_privileges(UID, GID, NULL, 0), -EPERM);
}
END_TEST

START_TEST(refuses_minus_one)
{
	ck_assert_int_eq(lust_drop_privileges((uid_t)-1, GID, NULL, 0), -EINVAL);
	ck_assert_int_eq(lust_drop_privileges(UID, (gid_t)-1, NULL, 0), -EINVAL);
	ck_assert_uint_ne(getuid(), (uid_t)-1);
}
END_TEST

START_TEST(root_stays_root)
{
	ck_assert_int_eq(lust_drop_privileges(0, 0, NULL, 0), 0);
	ck_assert_uint_eq(geteuid(), 0);
}
END_TEST

/* In a process of its own: what runs after a test needs the world outside. */
static int confine(const char *directory)
{
	struct stat outside, inside;
	char here[8] = "";

	if (stat(directory, &outside) < 0 || chdir(directory) < 0)
		return 1;
	if (lust_jail("nonexistent") != -ENOENT || stat("/etc", &inside) < 0)
		return 2;
	if (lust_jail(".") != 0)
		return 3;
	if (stat("/", &inside) < 0 || inside.st_ino != outside.st_ino || stat("/../etc", &inside) == 0)
		return 4;
	return getcwd(here, sizeof(here)) && here[0] == '/' && !here[1] ? 0 : 5;
}

START_TEST(jail)
{
	char directory[] = "/tmp/test_jail.XXXXXX";
	int status;
	pid_t child;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	child = fork();
	if (child == 0)
		_exit(confine(directory));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	rmdir(directory);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(without_privilege)
{
	gid_t groups[256];
	int count = getgroups(256, groups);

	ck_assert_int_ge(count, 0);
	ck_assert_int_eq(lust_drop_privileges(getuid(), getgid(), groups, (size_t)count), 0);
	ck_assert_int_lt(lust_drop_privileges(getuid() + 1, getgid(), groups, (size_t)count), 0);
	ck_assert_int_eq(lust_jail("/"), -EPERM);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("privileges");
	TCase *all = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(all, refuses_minus_one);
	if (geteuid() == 0) {
		tcase_add_test(all, drops_everything);
		tcase_add_test(all, drops_all_groups);
		tcase_add_test(all, finds_the_way_back);
		tcase_add_test(all, root_stays_root);
		tcase_add_test(all, jail);
	} else {
		printf("5 tests skipped: they need root\n");
		tcase_add_test(all, without_privilege);
	}
	suite_add_tcase(suite, all);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
