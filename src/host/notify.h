/*
 * notify: messages to the service manager over $NOTIFY_SOCKET, see sd_notify(3).
 *
 * sd_notify opens a socket for each message and waits if the manager does not read. Here one socket
 * is opened at the start and nothing waits for it, so a hung manager does not hold up the chat, and
 * WATCHDOG=1 goes out even when descriptors have run out. Its descriptor lies above those of the
 * clients. Without $NOTIFY_SOCKET all of this does nothing.
 */
#ifndef CHATD_NOTIFY_H
#define CHATD_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#define NOTIFY_REFUSED 200 /* room for a reason; a longer one is cut */
#define NOTIFY_CLUSTER 320 /* for what becomes of a cluster */

struct notify {
	int fd;           /* -1: there is no manager */
	const char *path; /* $NOTIFY_SOCKET */
	int64_t watchdog; /* microseconds between two WATCHDOG=1, or 0 */
	int64_t alive;    /* when the next one is due */
	int64_t status;   /* when STATUS= may be sent again */
	bool owes_ready;  /* READY=1 could not be sent yet */
	uint32_t clients; /* as in the last STATUS=; UINT32_MAX before the first */
	uint64_t lines;
	char cluster[NOTIFY_CLUSTER]; /* "" before the first, and where there is none */
	bool owes_status;             /* refused has changed since the last STATUS= */
	char refused[NOTIFY_REFUSED]; /* why the last reload was refused, or "" */
};

/* highest: the largest descriptor number that may be used. Returns 0, or -1 with errno. */
int notify_open(struct notify *notify, int highest);
void notify_close(struct notify *notify);

/*
 * Gives the manager a descriptor to keep for a successor, or takes all of that name back. While the
 * manager is busy it waits, for NOTIFY_PATIENCE at most. Returns 0, or -1 with errno.
 */
#define NOTIFY_PATIENCE 5 /* seconds */
int notify_store(const struct notify *notify, const char *name, int fd);
int notify_unstore(const struct notify *notify, const char *name);

void notify_ready(struct notify *notify);
void notify_reloading(struct notify *notify, int64_t now);
void notify_stopping(struct notify *notify);

/*
 * A reload was refused: why, a fault as "FILE:LINE: ..." or the call that failed. Until one is
 * accepted, STATUS= says that instead of clients and lines. Called before notify_ready, so that the
 * status is there for everybody who waits for the reload.
 */
void notify_refused(struct notify *notify, const char *why);
void notify_accepted(struct notify *notify);

/*
 * After each pass: sends WATCHDOG=1 at half of the watchdog's time, and STATUS= when it has
 * changed, at most once a second; cluster: what becomes of it, or NULL. Returns when to call again,
 * or CLOCK_NEVER.
 */
int64_t notify_pass(struct notify *notify, uint32_t clients, uint64_t lines, const char *cluster);

#endif
