/*
 * world: what a server sees of the machine: descriptors, sockets with their peers, time, streams.
 * All of it is memory, and all of it does what the program of an input says (fuzz_server.c).
 *
 * The calls of the server arrive at the sim_ functions of seam.h. What they mean for the chat is
 * told to the model (model.h), which knows what has to come of it.
 */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/config.h"
#include "server.h"

#define WORLD_FDS       256
#define WORLD_PEERS     200
#define WORLD_LISTENERS 3
#define WORLD_CONF      "/fuzz.conf"
#define FOREVER         UINT32_MAX

/* Bytes that grow at the end. Kept from one input to the next. */
struct bytes {
	char *data;
	size_t len, size;
};

void bytes_add(struct bytes *bytes, const void *data, size_t len);

/* An error that the next so many calls meet. */
struct fault {
	int error;
	uint32_t times;
};

/* Where a peer is in the list of all that was said; see model.h. */
struct cursor {
	uint32_t entry;
	size_t offset;
};

/* The other end of a connection. */
struct peer {
	enum {
		FREE,
		CONNECTING,
		ACCEPTED,
		REFUSED, /* without memory for it; closed at once */
		MEMBER,
		LEAVING,
		OVER
	} state;
	int sd;       /* the server's descriptor, from ACCEPTED on */
	int listener; /* through which it comes */
	uint8_t host; /* who it is */

	/* what it sends */
	struct bytes sent;
	size_t taken; /* of it, by the server */
	bool fin;
	bool reset;       /* the next call meets the error; behind it is the end of file */
	size_t recv_most; /* bytes that one recv brings */
	struct fault recv_fault;
	bool asked_readable, asked_writable; /* of select */
	bool readable;                       /* said select */
	bool received;                       /* in this pass recv was called */

	/* what is sent to it */
	size_t window;    /* bytes that the kernel keeps at most */
	size_t waiting;   /* bytes that it keeps */
	size_t send_most; /* bytes that one send takes */
	struct fault send_fault;
	bool deaf_end; /* it is closed: whoever writes to it gets EPIPE */
	bool shut;     /* the server has ended its side */
	bool writable; /* said select */
	bool tried;    /* in this pass send was called */

	/* the model's */
	struct bytes held;         /* an unfinished line */
	struct bytes unfinished;   /* bytes that may become a telnet command */
	struct cursor *candidates; /* where what it gets may have begun, moved on to now */
	uint32_t n_candidates;     /* one, but for who came in the middle of a pass */
	uint32_t candidates_size;
	bool is_cut;
	struct cursor cut;       /* where what it gets ends */
	bool deaf;               /* the server knows that it takes nothing */
	bool too_long;           /* it has said a line that is: it has to leave */
	bool quits, is_web;      /* or /quit; or its first line was that of a browser */
	bool left;               /* the server knows its end of file: it is removed in this pass */
	bool not_nonblocking;    /* ioctl failed */
	bool query_failed;       /* another ioctl did */
	uint64_t refused_before; /* allocations refused when it was accepted */
	int64_t heard;           /* when its last line came, or it itself */
	/* in mode chat */
	char name[16];
	bool chosen;       /* by itself */
	bool mentioned;    /* its coming was told */
	bool spoke;        /* its first line has come */
	int64_t chosen_at; /* when it last chose */
	struct bytes seen; /* the line that it is getting */
	/* with a rate: what it has said and not yet paid for, in millionths of a byte */
	int64_t debt, debt_at;
	bool rests;
	/* while it holds everybody up */
	bool holds;
	bool parked;          /* select is not asked about it before the next step */
	struct cursor before; /* where it was when the pass began */
	size_t unacked;       /* bytes that waited when the server last got rid of one */
	int64_t took;         /* and that time */
	int64_t window_began;
	int64_t window_bytes;
	/* while it leaves */
	unsigned reasons; /* those that it may be told, see last_words.c */
	struct limits limits_then;
	bool may_be_untold; /* memory was refused */
	char told[128];     /* a last line "chatd: ..." */
	size_t told_len;
	int64_t left_at;
	int64_t quiet_at; /* from when on nothing more comes from it, unless something does */
	uint32_t turn;    /* among those who leave */
	bool written;     /* all that it had to get */
	bool eof;         /* the server knows its end of file */
	bool ended;       /* too many leave: it is closed in this pass */
	bool trace_then;
	/* when the server was told to end */
	size_t owed;
	bool owed_fin;
};

struct stream {
	mode_t mode; /* S_IFREG, S_IFIFO or S_IFSOCK */
	struct fault fault;
	bool blocked;
	size_t write_most;
	bool awaited;   /* select has called it writable: a write is progress then */
	bool disturbed; /* there was a fault, so lines may be missing */
};

/* What a descriptor is of. */
enum kind {
	CLOSED,
	LISTENER,
	CLIENT,
	MANAGER,
	STREAM,
	SETTINGS
};

struct world {
	struct peer peers[WORLD_PEERS];
	int n_peers; /* so many were used */
	int64_t now;
	struct {
		enum kind kind;
		int index; /* of the listener, peer or stream */
	} files[WORLD_FDS];
	struct {
		bool open;
		int fd;
		int backlog[WORLD_PEERS];
		int waiting;
		bool asked, readable; /* of select, and its word */
		bool tried;           /* in this pass accept was called */
	} listeners[WORLD_LISTENERS];
	struct fault accept_fault, ioctl_fault, query_fault, bind_fault, open_fault, read_fault,
	    select_fault, socket_fault;
	struct stream out, err;
	char settings[1024]; /* the text of the file */
	size_t settings_read;

	/* the service manager */
	bool managed;
	struct fault manager_fault;
	bool manager_disturbed;
	bool told_ready, reloading;
	int64_t watchdog; /* microseconds */
	int64_t alive;    /* when WATCHDOG=1 last came */

	/* signals */
	void (*handler)(int);
	unsigned pending_end, pending_reload;
	unsigned ends;  /* how often the server was told to end */
	int64_t end_at; /* the first time */
	int n_at_end;   /* so many peers were there then */
	bool cut_short; /* the last waiting failed */
	bool closing;   /* server_run is over */
	bool signalled; /* in this pass */
	bool forgets;   /* and what select said before does not count */

	/* the pass */
	int served; /* the highest descriptor that was accepted from or received from */
	unsigned passes;
	unsigned futile;      /* passes in a row that moved nothing while no time passed */
	unsigned idle_passes; /* that had nothing to do any more */
	uint64_t progress;    /* grows with everything that moves */
};

extern struct world world;
extern struct server server;

/* A new world. Memory of the old one is used again. */
void world_reset(void);
/* Whether a fault is due; it counts as met. errno is its error. */
bool fault_due(struct fault *fault);
/* Whether an error of recv or send means only that nothing happens now. */
bool is_temporary(int error);

struct peer *world_connect(int listener, uint8_t host);
void world_close(struct peer *peer);
/* A signal arrives. */
void world_signal(int number);
/* What the kernel says of a socket. */
size_t world_unread(const struct peer *peer);
size_t world_unacked(const struct peer *peer);
/* Whether select would say so. */
bool world_readable(int fd);
bool world_writable(int fd);
/* The peer behind a descriptor, or NULL. */
struct peer *world_peer(int fd);
int world_open_files(void);
int world_new_fd(int lowest, enum kind kind, int index);
bool world_is(int fd, enum kind kind);
ssize_t world_write(int fd, const void *data, size_t len);
struct stream *world_stream(int fd);

#endif
