/*
 * addr: one address of a client or a listener, compact and comparable.
 *
 * An IPv4 address that arrives mapped into IPv6 (::ffff:192.0.2.1) is stored as the IPv4 address it
 * is, so that rules, counts and log lines know only one form. A client on a unix socket has no
 * address; it is known by the process and the user that connected.
 */
#ifndef CHATD_ADDR_H
#define CHATD_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct addr {
	sa_family_t family; /* AF_INET, AF_INET6 or AF_UNIX */
	uint16_t port;      /* host byte order */
	union {
		uint8_t ip[16]; /* network byte order; IPv4 takes the first 4 */
		struct {
			int pid, uid;
		} peer;
	};
	uint32_t scope; /* IPv6: the interface of a link-local address */
};

/* Where a listener listens: path, unless it is empty, else addr. */
struct endpoint {
	struct addr addr;
	bool tls;       /* its clients speak TLS; never with a path */
	bool v6only;    /* "::" without IPv4, which has an endpoint of its own */
	bool optional;  /* left out if the machine lacks the address: "localhost" has two */
	char path[108]; /* sun_path of unix(7) */
};

/* Room for every text of addr_format: "[", address, "%", scope, "]:", port; and "tls://" before it.
 */
#define ADDR_TEXT 80

/* "127.0.0.1:53412", "[::1]:53412", "unix(pid 4242, uid 1000)". Returns text. */
const char *addr_format(const struct addr *addr, char text[ADDR_TEXT]);

/* "127.0.0.1", "fe80::1%eth0" with the interface by its name if it has one. Returns text. */
const char *addr_format_host(const struct addr *addr, char text[ADDR_TEXT]);

/* Bytes of the IP address: 4 or 16. */
int addr_size(const struct addr *addr);
/* Whether both are one host, whatever the port. Never true for unix sockets. */
bool addr_same_host(const struct addr *a, const struct addr *b);
/*
 * Whether both count as one client machine: the same IPv4 address, or IPv6 addresses of one /64, in
 * which a machine may use as many as it likes. Never true for unix sockets.
 */
bool addr_same_network(const struct addr *a, const struct addr *b);

/* "0.0.0.0" or "::"; fe80::/10; 224.0.0.0/4 or ff00::/8. */
bool addr_is_any(const struct addr *addr);
bool addr_is_link_local(const struct addr *addr);
bool addr_is_multicast(const struct addr *addr);

/*
 * Reads a numeric IPv4 or IPv6 address. Returns 0, or -1 with errno ENODEV if there is no such
 * interface as an IPv6 address names, else EINVAL.
 */
int addr_parse(struct addr *addr, const char *text);
/* Reads "host:port", "[v6]:port", or "host", "v6", "[v6]", which get port. See addr_parse. */
int addr_parse_port(struct addr *addr, const char *text, uint16_t port);

/* sd is the connection; it tells the peer of a unix socket. */
void addr_from_peer(struct addr *addr, const struct sockaddr_storage *sa, int sd);
socklen_t addr_to_sockaddr(const struct addr *addr, struct sockaddr_storage *sa);

/* The path, or "tls://" if so, and the address and port. Returns text, or the path itself. */
#define ENDPOINT_TLS "tls://"
const char *endpoint_format(const struct endpoint *endpoint, char text[ADDR_TEXT]);
/* Whether both are the same path, or the same address and port. */
bool endpoint_same_place(const struct endpoint *a, const struct endpoint *b);
/* Whether both are served alike too. */
bool endpoint_same(const struct endpoint *a, const struct endpoint *b);

#endif
