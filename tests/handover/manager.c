#include "manager.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

void
manager_open(struct manager *manager, const char *directory)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	snprintf(manager->path, sizeof(manager->path), "%s/notify", directory);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", manager->path);
	unlink(manager->path);
	manager->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(manager->notify, (struct sockaddr *)&un, sizeof(un)) < 0) {
		perror(manager->path);
		exit(1);
	}
}

static void
become_chatd(const struct manager *manager, bool traced)
{
	char names[MANAGER_KEPT * 33] = "", number[16];
	int log = open(manager->log, O_WRONLY | O_CREAT | O_APPEND, 0600);

	for (int i = 0; i < manager->count; i++) {
		int high = fcntl(manager->fds[i], F_DUPFD, 200 + i);

		dup2(high, 100 + i);
		close(high);
		strcat(strcat(names, i > 0 ? ":" : ""), manager->names[i]);
	}
	dup2(log, 2);
	dup2(open("/dev/null", O_RDWR), 1);
	for (int i = 0; i < manager->count; i++) {
		dup2(100 + i, 3 + i);
		fcntl(3 + i, F_SETFL, 0); /* it blocks again, as with systemd's sockets */
	}
	for (int i = 3 + manager->count; i < 300; i++)
		close(i);
	snprintf(number, sizeof(number), "%d", getpid());
	setenv("NOTIFY_SOCKET", manager->path, 1);
	if (manager->count > 0) {
		setenv("LISTEN_PID", number, 1);
		snprintf(number, sizeof(number), "%d", manager->count);
		setenv("LISTEN_FDS", number, 1);
		setenv("LISTEN_FDNAMES", names, 1);
	}
	if (traced)
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	execl(manager->chatd, "chatd", "-c", manager->config, (char *)NULL);
	_exit(127);
}

void
manager_start(struct manager *manager, bool traced)
{
	manager->ready = false;
	manager->pid = fork();
	if (manager->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		become_chatd(manager, traced);
	}
}

static void
forget(struct manager *manager, const char *name)
{
	for (int i = 0; i < manager->count;)
		if (strcmp(manager->names[i], name) == 0) {
			close(manager->fds[i]);
			manager->count--;
			manager->fds[i] = manager->fds[manager->count];
			memcpy(manager->names[i], manager->names[manager->count], 32);
		} else {
			i++;
		}
}

static void
take(struct manager *manager, const char *text, struct msghdr *hdr)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(hdr);
	const char *at = strstr(text, "FDNAME=");
	char name[32] = "stored";
	int fd = -1;

	if (at != NULL)
		sscanf(at, "FDNAME=%31[^\n]", name);
	if (cmsg != NULL && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	if (strstr(text, "FDSTOREREMOVE=1") != NULL)
		forget(manager, name);
	else if (strstr(text, "FDSTORE=1") != NULL && fd >= 0 && manager->count < MANAGER_KEPT) {
		manager->fds[manager->count] = fd;
		snprintf(manager->names[manager->count++], 32, "%s", name);
		fd = -1;
	}
	if (strstr(text, "READY=1") != NULL)
		manager->ready = true;
	if (fd >= 0)
		close(fd);
}

void
manager_listen(struct manager *manager)
{
	for (;;) {
		char text[4096];
		union {
			char bytes[CMSG_SPACE(sizeof(int) * 16)];
			struct cmsghdr align;
		} control;
		struct iovec iov = {text, sizeof(text) - 1};
		struct msghdr hdr = {.msg_iov = &iov,
		    .msg_iovlen = 1,
		    .msg_control = control.bytes,
		    .msg_controllen = sizeof(control.bytes)};
		ssize_t n = recvmsg(manager->notify, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n < 0)
			return;
		text[n] = '\0';
		take(manager, text, &hdr);
	}
}

bool
manager_await(struct manager *manager)
{
	for (int i = 0; i < 20000 && !manager->ready; i++) {
		struct pollfd wait = {.fd = manager->notify, .events = POLLIN};
		siginfo_t info = {0};

		poll(&wait, 1, 1);
		manager_listen(manager);
		if (!manager->ready &&
		    waitid(P_PID, (id_t)manager->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		    info.si_pid != 0)
			return false;
	}
	return manager->ready;
}

int
manager_reap(struct manager *manager)
{
	int status = -1;

	waitpid(manager->pid, &status, 0);
	while (!WIFEXITED(status) && !WIFSIGNALED(status) && waitpid(manager->pid, &status, 0) > 0)
		;
	manager->pid = 0;
	manager_listen(manager);
	return status;
}

void
manager_close(struct manager *manager)
{
	while (manager->count > 0)
		close(manager->fds[--manager->count]);
	close(manager->notify);
	unlink(manager->path);
}
