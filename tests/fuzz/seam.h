/*
 * seam: included before every file of chatd that a fuzz target is made of. Each call that leaves
 * the program goes to a function of the target instead, with the same name behind "sim_".
 *
 * The headers come first, so that only calls are renamed, not what the C library declares or puts
 * into its own inline functions.
 */
#ifndef FUZZ_SEAM_H
#define FUZZ_SEAM_H

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <bsd/unistd.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

/* memory */
void *sim_malloc(size_t size);
void *sim_calloc(size_t count, size_t size);
void *sim_realloc(void *old, size_t size);
void *sim_reallocarray(void *old, size_t count, size_t size);
void *sim_recallocarray(void *old, size_t had, size_t count, size_t size);
char *sim_strdup(const char *text);
void sim_free(void *memory);
int sim_malloc_trim(size_t pad);

/* files */
int sim_open(const char *path, int flags, ...);
ssize_t sim_read(int fd, void *data, size_t len);
ssize_t sim_write(int fd, const void *data, size_t len);
int sim_close(int fd);
int sim_dup2(int fd, int onto);
int sim_fcntl(int fd, int command, ...);
int sim_fstat(int fd, struct stat *st);

/* sockets */
int sim_socket(int family, int type, int protocol);
int sim_setsockopt(int fd, int level, int option, const void *value, socklen_t len);
int sim_bind(int fd, const struct sockaddr *sa, socklen_t len);
int sim_listen(int fd, int backlog);
int sim_connect(int fd, const struct sockaddr *sa, socklen_t len);
int sim_getsockname(int fd, struct sockaddr *sa, socklen_t *len);
int sim_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags);
int sim_ioctl(int fd, unsigned long request, ...);
ssize_t sim_recv(int fd, void *data, size_t len, int flags);
ssize_t sim_send(int fd, const void *data, size_t len, int flags);
ssize_t sim_sendmsg(int fd, const struct msghdr *hdr, int flags);
int sim_shutdown(int fd, int how);

/* the loop */
int sim_pselect(int count, fd_set *readable, fd_set *writable, fd_set *failed,
    const struct timespec *timeout, const sigset_t *mask);
int sim_sigaction(int number, const struct sigaction *action, struct sigaction *old);
int sim_sigprocmask(int how, const sigset_t *set, sigset_t *old);
int sim_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout);
int sim_clock_gettime(clockid_t clock, struct timespec *now);
int sim_getrlimit(int resource, struct rlimit *limit);
int sim_setrlimit(int resource, const struct rlimit *limit);
char *sim_getenv(const char *name);
int sim_sd_watchdog_enabled(int unset, uint64_t *usec);

/* names */
struct passwd *sim_getpwnam(const char *name);
struct group *sim_getgrnam(const char *name);
unsigned sim_if_nametoindex(const char *name);

#ifdef FUZZ_SEAM

#define malloc        sim_malloc
#define calloc        sim_calloc
#define realloc       sim_realloc
#define reallocarray  sim_reallocarray
#define recallocarray sim_recallocarray
#undef strdup
#define strdup      sim_strdup
#define free        sim_free
#define malloc_trim sim_malloc_trim

#define open  sim_open
#define read  sim_read
#define write sim_write
#define close sim_close
#define dup2  sim_dup2
#define fcntl sim_fcntl
#define fstat sim_fstat

#define socket      sim_socket
#define setsockopt  sim_setsockopt
#define bind        sim_bind
#define listen      sim_listen
#define connect     sim_connect
#define getsockname sim_getsockname
#define accept4     sim_accept4
#define ioctl       sim_ioctl
#define recv        sim_recv
#define send        sim_send
#define sendmsg     sim_sendmsg
#define shutdown    sim_shutdown

#define pselect             sim_pselect
#define sigaction(n, a, o)  sim_sigaction(n, a, o)
#define sigprocmask         sim_sigprocmask
#define sigtimedwait        sim_sigtimedwait
#define clock_gettime       sim_clock_gettime
#define getrlimit(r, l)     sim_getrlimit(r, l)
#define setrlimit(r, l)     sim_setrlimit(r, l)
#define getenv              sim_getenv
#define sd_watchdog_enabled sim_sd_watchdog_enabled

#define getpwnam       sim_getpwnam
#define getgrnam       sim_getgrnam
#define if_nametoindex sim_if_nametoindex

#endif
#endif
