/*
 * manager: plays the service manager for one chatd.
 *
 * It starts chatd with $NOTIFY_SOCKET, keeps the descriptors that chatd stores, and passes them to
 * the next one, as systemd does. So a kill and a restart need nothing but a fork.
 */
#ifndef MANAGER_H
#define MANAGER_H

#include <stdbool.h>
#include <sys/types.h>

#define MANAGER_KEPT 16

struct manager {
	const char *chatd, *config, *log;
	int notify;
	char path[108];
	int fds[MANAGER_KEPT];
	char names[MANAGER_KEPT][32];
	int count;
	pid_t pid; /* of chatd; 0: none runs */
	bool ready;
};

/* directory: for the socket. */
void manager_open(struct manager *manager, const char *directory);
/* traced: the process stops at its exec, for its parent. */
void manager_start(struct manager *manager, bool traced);
/* Reads what chatd has told, without waiting. */
void manager_listen(struct manager *manager);
/* Waits until READY=1. Returns false when chatd has ended, or that takes too long. */
bool manager_await(struct manager *manager);
/* Waits for the end; returns its status. */
int manager_reap(struct manager *manager);
void manager_close(struct manager *manager);

#endif
