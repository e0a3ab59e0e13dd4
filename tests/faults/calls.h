/*
 * calls.h: the functions that fault.c makes fail, each with its likeliest errno.  No include guard: it is a list.  Left out
 * is what cannot fail with right arguments (sigprocmask, close of an own descriptor, clock_gettime) and memory.
 */
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

FAULTY(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1, EMFILE)
FAULTY(int, socketpair, (int domain, int type, int protocol, int ends[2]), (domain, type, protocol, ends), -1, EMFILE)
FAULTY(int, bind, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length), -1, EADDRINUSE)
FAULTY(int, listen, (int fd, int backlog), (fd, backlog), -1, EADDRINUSE)
FAULTY(int, connect, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length), -1, EAGAIN)
FAULTY(int, accept4, (int fd, struct sockaddr *address, socklen_t *length, int flags), (fd, address, length, flags), -1, EMFILE)
FAULTY(int, shutdown, (int fd, int how), (fd, how), -1, ENOTCONN)
FAULTY(int, getsockname, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length), -1, ENOBUFS)
FAULTY(int, getpeername, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length), -1, ENOTCONN)
FAULTY(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *length), (fd, level, name, value, length), -1, ENOPROTOOPT)
FAULTY(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t length), (fd, level, name, value, length), -1, ENOPROTOOPT)
FAULTY(ssize_t, send, (int fd, const void *data, size_t length, int flags), (fd, data, length, flags), -1, EAGAIN)
FAULTY(ssize_t, sendto, (int fd, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t size), (fd, data, length, flags, to, size), -1, EAGAIN)
FAULTY(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags), -1, EAGAIN)
FAULTY(ssize_t, recv, (int fd, void *data, size_t length, int flags), (fd, data, length, flags), -1, EAGAIN)
FAULTY(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags), -1, EAGAIN)
FAULTY(ssize_t, read, (int fd, void *data, size_t length), (fd, data, length), -1, EINTR)
FAULTY(ssize_t, pread, (int fd, void *data, size_t length, off_t at), (fd, data, length, at), -1, EIO)
FAULTY(ssize_t, write, (int fd, const void *data, size_t length), (fd, data, length), -1, EAGAIN)
FAULTY(ssize_t, pwrite, (int fd, const void *data, size_t length, off_t at), (fd, data, length, at), -1, ENOSPC)
FAULTY(ssize_t, writev, (int fd, const struct iovec *part, int count), (fd, part, count), -1, EAGAIN)
FAULTY(int, pipe2, (int ends[2], int flags), (ends, flags), -1, EMFILE)
FAULTY(int, dup, (int fd), (fd), -1, EMFILE)
FAULTY(int, dup2, (int fd, int to), (fd, to), -1, EBUSY)
FAULTY(int, dup3, (int fd, int to, int flags), (fd, to, flags), -1, EBUSY)
FAULTY(int, poll, (struct pollfd *fds, nfds_t count, int timeout), (fds, count, timeout), -1, ENOMEM)
FAULTY(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1, EMFILE)
FAULTY(void *, mmap, (void *at, size_t length, int protection, int flags, int fd, off_t offset), (at, length, protection, flags, fd, offset), MAP_FAILED, ENOMEM)
FAULTY(int, ftruncate, (int fd, off_t length), (fd, length), -1, ENOSPC)
FAULTY(pid_t, fork, (void), (), -1, EAGAIN)
FAULTY(int, kill, (pid_t pid, int number), (pid, number), -1, EPERM)
FAULTY(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options), -1, EINTR)
FAULTY(int, fexecve, (int fd, char *const arguments[], char *const environment[]), (fd, arguments, environment), -1, ENOEXEC)
FAULTY(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options), (type, id, info, options), -1, EINTR)
FAULTY(int, stat, (const char *path, struct stat *status), (path, status), -1, ENOMEM)
FAULTY(int, lstat, (const char *path, struct stat *status), (path, status), -1, ENOMEM)
FAULTY(int, fstat, (int fd, struct stat *status), (fd, status), -1, ENOMEM)
FAULTY(int, fstatat, (int directory, const char *path, struct stat *status, int flags), (directory, path, status, flags), -1, ENOMEM)
FAULTY(int, access, (const char *path, int mode), (path, mode), -1, EACCES)
FAULTY(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL, EMFILE)
FAULTY(DIR *, opendir, (const char *path), (path), NULL, EMFILE)
FAULTY(int, mkdir, (const char *path, mode_t mode), (path, mode), -1, ENOSPC)
FAULTY(int, mkdirat, (int directory, const char *path, mode_t mode), (directory, path, mode), -1, ENOSPC)
FAULTY(int, unlink, (const char *path), (path), -1, EBUSY)
FAULTY(int, unlinkat, (int directory, const char *path, int flags), (directory, path, flags), -1, EBUSY)
FAULTY(int, chmod, (const char *path, mode_t mode), (path, mode), -1, EPERM)
FAULTY(int, fchmod, (int fd, mode_t mode), (fd, mode), -1, EPERM)
FAULTY(int, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid), -1, EPERM)
FAULTY(int, chdir, (const char *path), (path), -1, EACCES)
FAULTY(int, fchdir, (int fd), (fd), -1, EACCES)
FAULTY(int, chroot, (const char *path), (path), -1, EPERM)
FAULTY(int, flock, (int fd, int operation), (fd, operation), -1, ENOLCK)
FAULTY(int, setresuid, (uid_t real_id, uid_t effective, uid_t saved), (real_id, effective, saved), -1, EAGAIN)
FAULTY(int, setresgid, (gid_t real_id, gid_t effective, gid_t saved), (real_id, effective, saved), -1, EAGAIN)
FAULTY(int, setgroups, (size_t count, const gid_t *groups), (count, groups), -1, ENOMEM)
FAULTY(int, getgroups, (int count, gid_t *groups), (count, groups), -1, EINVAL)
FAULTY(pid_t, setsid, (void), (), -1, EPERM)
FAULTY(int, setrlimit, (__rlimit_resource_t resource, const struct rlimit *limit), (resource, limit), -1, EPERM)
FAULTY(int, setpriority, (__priority_which_t which, id_t id, int value), (which, id, value), -1, EACCES)
FAULTY(int, setitimer, (__itimer_which_t which, const struct itimerval *value, struct itimerval *old), (which, value, old), -1, EPERM)
FAULTY(ssize_t, getrandom, (void *data, size_t length, unsigned flags), (data, length, flags), -1, EAGAIN)
FAULTY(int, signalfd, (int fd, const sigset_t *mask, int flags), (fd, mask, flags), -1, EMFILE)
FAULTY(int, epoll_create1, (int flags), (flags), -1, EMFILE)
FAULTY(int, eventfd, (unsigned count, int flags), (count, flags), -1, EMFILE)
FAULTY(int, close_range, (unsigned first, unsigned last, int flags), (first, last, flags), -1, ENOSYS)
FAULTY(int, pidfd_open, (pid_t pid, unsigned flags), (pid, flags), -1, EMFILE)
FAULTY(struct passwd *, getpwnam, (const char *name), (name), NULL, EMFILE)
FAULTY(struct passwd *, getpwuid, (uid_t uid), (uid), NULL, EMFILE)
FAULTY(struct group *, getgrnam, (const char *name), (name), NULL, EMFILE)
