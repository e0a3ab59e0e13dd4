/*
 * fault.c: makes one system call of the daemon fail, once.  Preloaded into the supervisor and, by way of its execve(2), into
 * the dispatcher; never into servers.
 *
 * A site is a place in the program from which a function that may fail is called.  A first run records the sites that a
 * scenario comes by; further runs make one of them fail each.  All processes of a daemon share one file, so that a site fails
 * once, and not again in the dispatcher that replaces the one that failed.
 *
 *   LUST_FAULT_FILE   the shared file, made by the runner: zeros
 *   LUST_FAULT_SITE   PROGRAM:FUNCTION:OFFSET:NTH: what fails; without it sites are recorded
 *   LUST_FAULT_ERROR  the errno, in place of the function's usual one
 *
 * SPDX-License-Identifier: ISC
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SITES 4096

struct site {
	_Atomic uint64_t key; /* function and offset; 0: free */
	_Atomic uint32_t calls;
	uint32_t program; /* 0 supervisor, 1 dispatcher */
	char function[24];
};

struct shared {
	_Atomic uint32_t failed; /* the chosen one did */
	uint32_t pad[15];
	struct site site[SITES];
};

static struct shared *shared;
static uintptr_t low[2], high[2]; /* of the program and of liblust */
static int program;
static struct {
	bool set;
	char function[24];
	uint64_t offset;
	uint32_t nth;
	int program, error;
} chosen;

static int note_range(struct dl_phdr_info *info, size_t size, void *unused)
{
	int at = info->dlpi_name[0] == '\0' ? 0 : strstr(info->dlpi_name, "liblust") ? 1 : -1;

	(void)size;
	(void)unused;
	if (at < 0)
		return 0;
	low[at] = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];

		if (part->p_type == PT_LOAD && info->dlpi_addr + part->p_vaddr + part->p_memsz > high[at])
			high[at] = info->dlpi_addr + part->p_vaddr + part->p_memsz;
	}
	return 0;
}

static void read_choice(const char *text)
{
	char name[32];

	if (!text ||
	    sscanf(text, "%31[^:]:%23[^:]:%lx:%u", name, chosen.function, &chosen.offset, &chosen.nth) != 4)
		return;
	chosen.program = strcmp(name, "dispatcher") == 0;
	chosen.error = getenv("LUST_FAULT_ERROR") ? atoi(getenv("LUST_FAULT_ERROR")) : 0;
	chosen.set = true;
}

static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("LUST_FAULT_FILE");
	int fd;

	real_open = dlsym(RTLD_NEXT, "open");
	real_close = dlsym(RTLD_NEXT, "close");
	if (!path || !real_open || !real_close)
		return;
	program = strcmp(program_invocation_short_name, "lust-dispatcher") == 0;
	dl_iterate_phdr(note_range, NULL);
	read_choice(getenv("LUST_FAULT_SITE"));
	fd = real_open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	real_close(fd);
	if (shared == MAP_FAILED)
		shared = NULL;
}

/* Offsets of liblust are told apart by the topmost bit. */
static bool offset_of(uintptr_t address, uint64_t *offset)
{
	for (unsigned i = 0; i < 2; i++) {
		if (address >= low[i] && address < high[i]) {
			*offset = (uint64_t)(address - low[i]) | (uint64_t)i << 40;
			return true;
		}
	}
	return false;
}

static void record(const char *function, uint64_t offset)
{
	uint64_t key = offset << 1 | (uint64_t)program;

	for (unsigned i = 0; i < SITES; i++) {
		uint64_t empty = 0;

		if (atomic_compare_exchange_strong(&shared->site[i].key, &empty, key)) {
			strncpy(shared->site[i].function, function, sizeof(shared->site[i].function) - 1);
			shared->site[i].program = (uint32_t)program;
		} else if (empty != key) {
			continue;
		}
		atomic_fetch_add(&shared->site[i].calls, 1);
		return;
	}
}

/* Is it this call that fails?  Then errno is set. */
static bool fails(const char *function, uintptr_t caller, int usual)
{
	static _Atomic uint32_t calls;
	uint64_t offset;

	if (!shared || !offset_of(caller, &offset))
		return false;
	if (!chosen.set) {
		record(function, offset);
		return false;
	}
	if (chosen.program != program || chosen.offset != offset || strcmp(chosen.function, function) != 0 ||
	    atomic_fetch_add(&calls, 1) + 1 < chosen.nth || atomic_exchange(&shared->failed, 1) != 0)
		return false;
	errno = chosen.error ? chosen.error : usual;
	return true;
}

#define CALLER ((uintptr_t)__builtin_return_address(0))
#define REAL(name) (find((void **)&real, #name), real)

static void find(void **real, const char *name)
{
	if (!*real)
		*real = dlsym(RTLD_NEXT, name);
	if (!*real)
		abort();
}

/* A function of fixed arguments: its type, name, parameters, arguments, what it returns when it fails, and why. */
#define FAULTY(type, name, parameters, arguments, failure, usual)                                            \
	type name parameters;                                                                                \
	type name parameters                                                                                 \
	{                                                                                                    \
		static __typeof__(&name) real;                                                               \
		if (fails(#name, CALLER, usual))                                                             \
			return failure;                                                                      \
		return REAL(name) arguments;                                                                 \
	}

#include "calls.h"

/* ---- with variable arguments ---- */

int open(const char *path, int flags, ...)
{
	va_list list;
	unsigned mode;

	va_start(list, flags);
	mode = va_arg(list, unsigned);
	va_end(list);
	return fails("open", CALLER, EMFILE) ? -1 : real_open(path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...)
{
	static int (*real)(int, const char *, int, ...);
	va_list list;
	unsigned mode;

	va_start(list, flags);
	mode = va_arg(list, unsigned);
	va_end(list);
	return fails("openat", CALLER, EMFILE) ? -1 : REAL(openat)(directory, path, flags, mode);
}

int fcntl(int fd, int command, ...)
{
	static int (*real)(int, int, ...);
	va_list list;
	void *argument;

	va_start(list, command);
	argument = va_arg(list, void *);
	va_end(list);
	return fails("fcntl", CALLER, EMFILE) ? -1 : REAL(fcntl)(fd, command, argument);
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*real)(int, unsigned long, ...);
	va_list list;
	void *argument;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	return fails("ioctl", CALLER, ENOTTY) ? -1 : REAL(ioctl)(fd, request, argument);
}

int prctl(int option, ...)
{
	static int (*real)(int, ...);
	unsigned long argument[4];
	va_list list;

	va_start(list, option);
	for (int i = 0; i < 4; i++)
		argument[i] = va_arg(list, unsigned long);
	va_end(list);
	return fails("prctl", CALLER, EINVAL)
		       ? -1
		       : REAL(prctl)(option, argument[0], argument[1], argument[2], argument[3]);
}

long syscall(long number, ...)
{
	static long (*real)(long, ...);
	long argument[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		argument[i] = va_arg(list, long);
	va_end(list);
	return fails("syscall", CALLER, ENOSYS) ? -1
						: REAL(syscall)(number, argument[0], argument[1], argument[2],
								argument[3], argument[4], argument[5]);
}

/* The dispatcher's environment is made anew by the supervisor: what this file needs is put back. */
int execve(const char *path, char *const arguments[], char *const environment[])
{
	static int (*real)(const char *, char *const[], char *const[]);
	static const char *const names[] = {"LD_PRELOAD", "LUST_FAULT_FILE", "LUST_FAULT_SITE",
					    "LUST_FAULT_ERROR"};
	static char text[4][512];
	char *all[64];
	const char *base = strrchr(path, '/');
	unsigned count = 0;

	if (fails("execve", CALLER, ENOEXEC))
		return -1;
	if (!base || strcmp(base, "/lust-dispatcher") != 0)
		return REAL(execve)(path, arguments, environment);
	while (environment[count] && count < 58) {
		all[count] = environment[count];
		count++;
	}
	for (unsigned i = 0; i < 4; i++) {
		if (!getenv(names[i]))
			continue;
		snprintf(text[i], sizeof(text[i]), "%s=%s", names[i], getenv(names[i]));
		all[count++] = text[i];
	}
	all[count] = NULL;
	return REAL(execve)(path, arguments, all);
}
