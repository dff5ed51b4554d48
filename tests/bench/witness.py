#!/usr/bin/python3
"""
Clients that watch a restart, in a machine whose systemd does it: see restart.py.

  witness.py SERVER HOW CLIENTS PAUSE TIMES

SERVER (of SERVERS) is started as Debian's package does it, and so many clients connect. One says a
line every PAUSE seconds; the others count what they hear. Then HOW happens: restart, reload, or
kill -9 of the process that serves the clients. Who is disconnected comes back as soon as it can.
Each time is a line on standard output, a dict in Python's notation (python3-minimal has no json):

  heard    lines heard by all, by the number of the STEP in which they came; 0 begins with HOW
  gaps     seconds of each listener's longest silence
  dropped  connections that ended
  lost     lines that a listener did not hear; twice, or out of order
"""

import os
import select
import socket
import subprocess
import sys
import time

PORT, BEHIND = 9034, 9035
STEP = 0.04           # seconds
BEFORE, AFTER = 1, 3  # seconds around HOW
PATIENCE = 10
RETRY = 0.01          # seconds between two attempts to come back
LINE = "{:08d} a line of sixty-four bytes, its end included; no more is it\n"

CHATD = "/usr/local/etc/chatd.conf"
HAPROXY = f"""
global
	maxconn 5000
defaults
	mode tcp
	timeout connect 5s
	timeout client 1h
	timeout server 1h
listen chat
	bind 127.0.0.1:{PORT}
	server chat 127.0.0.1:{BEHIND}
"""
NGINX = f"""
user www-data;
worker_processes 1;
worker_rlimit_nofile 8192;
pid /run/nginx.pid;
include /etc/nginx/modules-enabled/*.conf;
events {{ worker_connections 4000; }}
stream {{ server {{ listen 127.0.0.1:{PORT}; proxy_pass 127.0.0.1:{BEHIND}; }} }}
"""
NGIRCD = f"""
[Global]
Name = bench.local
Info = bench
Listen = 127.0.0.1
Ports = {PORT}
MotdPhrase = hello
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxPenaltyTime = 0
[Options]
DNS = no
Ident = no
PAM = no
"""


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def chatd_listens(port):
    """As it comes with the package, but for the port and the number of clients."""
    if not os.path.exists(CHATD + ".orig"):
        os.rename(CHATD, CHATD + ".orig")
    with open(CHATD + ".orig", encoding="ascii") as file:
        write(CHATD, file.read() + f"\nlisten = [ \"127.0.0.1:{port}\" ];\n")
    os.makedirs(CHATD + ".d", exist_ok=True)
    write(CHATD + ".d/clients.conf", "limits = { clients = 2000; };\n")


# By name: the unit, the file and its text, and the name of the process that serves.
SERVERS = {
    "chatd": ("chatd", None, None, "chatd"),
    "haproxy": ("haproxy", "/etc/haproxy/haproxy.cfg", HAPROXY, "haproxy"),
    "nginx": ("nginx", "/etc/nginx/nginx.conf", NGINX, "nginx"),
    "ngircd": ("ngircd", "/etc/ngircd/ngircd.conf", NGIRCD, "ngircd"),
}


def start(name):
    for other, _, _, _ in SERVERS.values():
        run("systemctl", "stop", other)
    unit, path, text, _ = SERVERS[name]
    if path:
        write(path, text)
    if name in ("chatd", "haproxy", "nginx"):
        chatd_listens(PORT if name == "chatd" else BEHIND)
        run("systemctl", "start", "chatd")
    run("systemctl", "restart", unit)


def processes(name):
    """The newest of that name first: of a master and its workers, a worker."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as comm:
                if comm.read().strip() == name:
                    found.append(int(pid))
        except OSError:
            pass
    return sorted(found, reverse=True)


def happen(name, how):
    unit = SERVERS[name][0]
    if how == "kill":
        os.kill(processes(SERVERS[name][3])[0], 9)
        return None
    return subprocess.Popen(["systemctl", how, unit], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Client:
    def __init__(self, number, irc):
        self.number, self.irc = number, irc
        self.socket, self.rest, self.retry = None, b"", 0
        self.next = None # number of the line that comes next
        self.last = self.gap = 0

    def connect(self):
        """Whether it is connected; tries. Where nobody has time to accept it does not wait."""
        self.socket, self.rest = socket.socket(), b""
        self.socket.settimeout(0.001)
        try:
            self.socket.connect(("127.0.0.1", PORT))
            self.socket.setblocking(False)
            if self.irc:
                nick = f"w{self.number}"
                self.socket.send(f"NICK {nick}\r\nUSER {nick} 0 * :w\r\nJOIN #b\r\n".encode())
        except OSError:
            self.close()
            self.retry = time.monotonic() + RETRY
        return self.socket is not None

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def say(self, number):
        """Whether it was said."""
        text = LINE.format(number)
        try:
            self.socket.send((f"PRIVMSG #b :{text}" if self.irc else text).encode())
        except BlockingIOError:
            return False
        except OSError:
            return False # the end is heard
        return True

    def hear(self):
        """The numbers of the lines that came, or None: the connection has ended."""
        try:
            data = self.socket.recv(262144)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            return None
        *lines, self.rest = (self.rest + data).split(b"\n")
        numbers = []
        for line in lines:
            if self.irc:
                if line.startswith(b"PING"):
                    self.socket.send(b"PONG" + line[4:] + b"\n")
                if b" PRIVMSG " not in line:
                    continue
                line = line.split(b" :", 1)[1]
            if line[:8].isdigit():
                numbers.append(int(line[:8]))
        return numbers


class Watch:
    def __init__(self, name, clients, pause):
        irc = name == "ngircd"
        self.pause, self.said, self.say_at = pause, 0, 0
        self.clients = [Client(i, irc) for i in range(clients + 1)]
        self.speaker, self.by_fd, self.poll = self.clients[0], {}, select.epoll()
        self.away = set(self.clients)
        self.reset(None)

    def reset(self, zero):
        self.zero, self.heard = zero, {}
        self.dropped = self.lost = self.twice = 0
        for client in self.clients:
            client.gap, client.last = 0, zero or 0

    def come(self, now):
        for client in list(self.away):
            if now >= client.retry and client.connect():
                self.by_fd[client.socket.fileno()] = client
                self.poll.register(client.socket, select.EPOLLIN)
                self.away.remove(client)

    def gone(self, client):
        del self.by_fd[client.socket.fileno()]
        client.close()
        client.retry = 0
        self.dropped += 1
        self.away.add(client)

    def listen(self, client):
        numbers = client.hear()
        if numbers is None:
            self.gone(client)
            return
        now = time.monotonic()
        for number in numbers:
            if client.next is not None and number > client.next:
                self.lost += number - client.next
            if client.next is not None and number < client.next:
                self.twice += 1
            client.next = number + 1
        if numbers and self.zero is not None:
            step = int((now - self.zero) // STEP)
            self.heard[step] = self.heard.get(step, 0) + len(numbers)
            client.gap = max(client.gap, now - client.last)
            client.last = now

    def turn(self, speaks):
        now = time.monotonic()
        if self.away:
            self.come(now)
        if speaks and self.speaker.socket and now >= self.say_at:
            self.said += self.speaker.say(self.said)
            self.say_at = max(self.say_at + self.pause, now - 5 * self.pause)
        timeout = RETRY if self.away else self.say_at - time.monotonic() if speaks else 0.01
        for fd, _ in self.poll.poll(max(0, timeout), 4096):
            if fd in self.by_fd:
                self.listen(self.by_fd[fd])

    def until(self, moment, speaks=True):
        while time.monotonic() < moment:
            self.turn(speaks)

    def all_heard(self):
        return all(c.next == self.said for c in self.clients[1:])

    def settle(self, patience=PATIENCE):
        """Everybody has heard what was said last; or has not."""
        end = time.monotonic() + patience
        while not self.all_heard() and time.monotonic() < end:
            self.turn(False)

    def begin(self):
        """All are there, and hear the speaker."""
        end = time.monotonic() + 60
        while self.away or not all(c.next for c in self.clients[1:]):
            self.turn(not self.away)
            if time.monotonic() > end:
                sys.exit("not everybody could come")
        self.settle()

    def see(self, name, how):
        self.say_at = time.monotonic()
        self.reset(time.monotonic() + BEFORE)
        for client in self.clients:
            client.last = time.monotonic()
        self.until(self.zero)
        command = happen(name, how)
        self.until(self.zero + AFTER)
        self.settle(2)
        if command:
            command.wait()
        for client in self.clients[1:]:
            self.lost += self.said - (client.next or 0)
            client.next = self.said
        return {"server": name, "how": how, "clients": len(self.clients) - 1, "pause": self.pause,
                "heard": self.heard, "gaps": sorted(c.gap for c in self.clients[1:]),
                "dropped": self.dropped, "lost": self.lost, "twice": self.twice}


def main():
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    name, how, clients, pause, times = sys.argv[1:]
    start(name)
    watch = Watch(name, int(clients), float(pause))
    watch.begin()
    for _ in range(int(times)):
        print(watch.see(name, how), flush=True)


if __name__ == "__main__":
    main()
