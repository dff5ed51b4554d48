"""The servers that are measured: how each is started and tuned."""

import os
import random
import re
import resource
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

HIGHEST = 10000  # clients
DESCRIPTORS = 20500
START_SECONDS = 15


class Missing(Exception):
    """The program is not there, or cannot serve that many."""


class Place:
    """Where things are: what was built, what was unpacked, where to write."""

    def __init__(self, build, work, cpus):
        self.build = Path(build).resolve()
        self.work = Path(work).resolve()
        self.unpacked = self.build / "peers"
        self.load = self.build / "tests/bench/load"
        self.server_cpu, self.load_cpu = cpus

    def find(self, program):
        """The program's path and environment; installed ones come first."""
        path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
        found = shutil.which(program, path=path)
        if found:
            return found, dict(os.environ)
        for folder in ("usr/bin", "usr/sbin"):
            if (self.unpacked / folder / program).exists():
                libs = [str(path) for lib in ("lib", "usr/lib")
                        for path in (self.unpacked / lib).glob("*-linux-gnu*")]
                return (str(self.unpacked / folder / program),
                        dict(os.environ, LD_LIBRARY_PATH=":".join(libs)))
        raise Missing(f"{program} is not installed")

    def on_cpu(self, cpu):
        """For Popen: keeps the child on one CPU, with descriptors enough for all."""
        def prepare():
            os.sched_setaffinity(0, {cpu})
            resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        return prepare


def raise_descriptors():
    """The servers and the load generator need DESCRIPTORS; returns how many clients fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, max(hard, DESCRIPTORS)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        globals()["DESCRIPTORS"] = hard
    return min(HIGHEST, DESCRIPTORS - 100)


def free_port():
    """A port below those that connections are given."""
    while True:
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def listens(port):
    """Asks the kernel: a test connection would count as a client."""
    mark = f":{port:04X} "
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(name, encoding="ascii") as table:
                for line in table:
                    fields = line.split()
                    if fields[3] == "0A" and mark in fields[1] + " ":
                        return True
        except OSError:
            pass
    return False


class Running:
    """A server that was started, until stop()."""

    def __init__(self, process, pid, port, also=()):
        self.process, self.pid, self.port, self.also = process, pid, port, also

    def stop(self):
        for process in (self.process, *self.also):
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Peer:
    name = ""
    settings = ""       # the footnote
    program = ""
    tells_version = "--version"
    protocol = "raw"
    backlog = 1000      # connections that may wait for its accept
    most = HIGHEST      # clients it can serve
    grows = True        # clients may come later
    secure = False      # speaks TLS, see peers_tls.py

    def argv(self, program, work, port, clients, many):
        raise NotImplementedError

    def locate(self, place):
        return place.find(self.program)

    def version(self, place):
        """As the program tells it."""
        if not self.tells_version:
            return ""
        program, env = self.locate(place)
        told = subprocess.run([program, self.tells_version], env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        number = re.search(r"\d+\.\d+[.\d]*", told.stdout + told.stderr)
        return number.group(0) if number else ""

    def start(self, place, clients, many):
        if clients > self.most:
            raise Missing(f"{self.name} serves at most {self.most} clients")
        program, env = self.locate(place)
        port = free_port()
        work = place.work / self.name.replace(" ", "-")
        work.mkdir(parents=True, exist_ok=True)
        with open(work / "output", "wb") as output:
            process = subprocess.Popen(
                self.argv(program, work, port, clients, many), cwd=work, env=env,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                preexec_fn=place.on_cpu(place.server_cpu))
        running = Running(process, process.pid, port)
        deadline = time.monotonic() + START_SECONDS
        while not listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                running.stop()
                tail = (work / "output").read_text(errors="replace").strip()[-300:]
                raise Missing(f"{self.name} did not start: {tail}")
            time.sleep(0.01)
        return running


class Chatd(Peer):
    """The trace goes where it is told: off, to a file, or to a pipe that is read."""

    program = "chatd"
    tells_version = "-V"
    settings = ("limits.clients = 20000, everything else as by default; the trace is on and goes "
                "to a file")

    listening = r"^listening on 127\.0\.0\.1:(\d+)$"

    def __init__(self, name="chatd", trace="file", mode="lines", journal=False):
        self.name, self.trace, self.mode, self.journal = name, trace, mode, journal
        self.protocol = "chat" if mode == "chat" else "raw"

    def locate(self, place):
        path = place.build / "src/chatd"
        if not path.exists():
            raise Missing(f"{path} is not built")
        return str(path), dict(os.environ)

    def config(self, work):
        path = work / "chatd.conf"
        path.write_text('listen = [ "127.0.0.1:0" ];\n'
                        "limits = { clients = 20000; };\n"
                        f"trace = {'false' if self.trace == 'off' else 'true'};\n"
                        f'mode = "{self.mode}";\n')
        return path

    @staticmethod
    def manager(work):
        """A service manager that keeps nothing; but for it chatd keeps its journal."""
        path = work / "notify"
        path.unlink(missing_ok=True)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(str(path))

        def read():
            while notify.recv(4096) != b"STOPPING=1":
                pass
            for _ in range(5): # what it is to keep no longer
                notify.recv(4096)
            notify.close()
        threading.Thread(target=read, daemon=True).start()
        return str(path)

    def start(self, place, clients, many, wrapper=()):
        program, env = self.locate(place)
        work = place.work / self.name.replace(" ", "-")
        work.mkdir(parents=True, exist_ok=True)
        also = []
        if self.journal:
            env["NOTIFY_SOCKET"] = self.manager(work)
        if self.trace == "pipe":
            reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                      preexec_fn=place.on_cpu(place.load_cpu))
            also, stdout = [reader], reader.stdin
        else:
            stdout = open(work / "trace", "wb")
        with open(work / "output", "wb") as output:
            process = subprocess.Popen(
                [*wrapper, program, "-c", self.config(work)], cwd=work, env=env,
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=output,
                preexec_fn=place.on_cpu(place.server_cpu))
        stdout.close()
        running = Running(process, process.pid, None, also)
        deadline = time.monotonic() + START_SECONDS
        while True:
            text = (work / "output").read_text(errors="replace")
            port = re.search(self.listening, text, re.MULTILINE)
            if port:
                running.port = int(port.group(1))
                return running
            if process.poll() is not None or time.monotonic() > deadline:
                running.stop()
                raise Missing(f"chatd did not start: {text.strip()[-300:]}")
            time.sleep(0.01)


class Built(Peer):
    """A yardstick from this folder."""

    tells_version = None

    def locate(self, place):
        return str(place.build / "tests/bench" / self.program), dict(os.environ)


class SendLoop(Built):
    name = "send loop"
    program = "sendloop"
    grows = False
    settings = ("the limit: recv of up to 64 KiB, then one blocking send to each listener; in many "
                "to many, epoll, a recv from each that is ready, then one sendmsg to each")

    def argv(self, program, work, port, clients, many):
        return [program, str(port), "many" if many else "one", str(clients + (not many))]


class Naive(Built):
    name = "naive"
    program = "naive"
    settings = "poll; for each line and each client malloc, copy, list node and send"

    def argv(self, program, work, port, clients, many):
        return [program, str(port)]


class Ncat(Peer):
    name = "ncat"
    program = "ncat"
    settings = "ncat --broker -m 20000; its select ends at 1024 descriptors"
    backlog = 4
    most = 1000

    def argv(self, program, work, port, clients, many):
        return [program, "--broker", "-l", "127.0.0.1", str(port), "-m", "20000"]


class Ngircd(Peer):
    name = "ngircd"
    program = "ngircd"
    protocol = "irc"
    settings = ("MaxConnections, MaxConnectionsIP, MaxJoins = 0 (no limit), MaxPenaltyTime = 0 (no "
                "throttling), PingTimeout = 3600, no DNS, Ident, PAM; one channel. Every JOIN is "
                "told to all members, so 10,000 are not attempted. It does not set TCP_NODELAY")
    backlog = 4
    most = 1000

    def argv(self, program, work, port, clients, many):
        (work / "ngircd.conf").write_text(
            "[Global]\nName = bench.local\nInfo = bench\nListen = 127.0.0.1\n"
            f"Ports = {port}\nMotdPhrase = hello\n"
            "[Limits]\nMaxConnections = 0\nMaxConnectionsIP = 0\nMaxPenaltyTime = 0\n"
            "MaxJoins = 0\nPingTimeout = 3600\nPongTimeout = 3600\n"
            "[Options]\nDNS = no\nIdent = no\nPAM = no\n")
        return [program, "-n", "-f", "ngircd.conf"]


class Redis(Peer):
    name = "redis"
    program = "redis-server"
    protocol = "redis"
    settings = ("publish and subscribe (RESP3); maxclients 20000, client-output-buffer-limit "
                "pubsub 0 0 0, no persistence, tcp-backlog 4096. In many to many each client "
                "gets its own lines as well; figures are for each line delivered")

    def argv(self, program, work, port, clients, many):
        return [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                "--appendonly", "no", "--maxclients", "20000", "--tcp-backlog", "4096",
                "--client-output-buffer-limit", "pubsub 0 0 0", "--loglevel", "warning"]


class Mosquitto(Peer):
    name = "mosquitto"
    program = "mosquitto"
    tells_version = "-h"
    protocol = "mqtt"
    settings = ("MQTT 5, QoS 0, no-local; allow_anonymous, max_queued_messages 0, "
                "max_queued_bytes 0, set_tcp_nodelay, no persistence, no log")
    backlog = 64

    def argv(self, program, work, port, clients, many):
        (work / "mosquitto.conf").write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
            "max_queued_bytes 0\nset_tcp_nodelay true\npersistence false\nlog_type error\n")
        return [program, "-c", "mosquitto.conf"]


class Nats(Peer):
    name = "nats"
    program = "nats-server"
    protocol = "nats"
    settings = ("max_connections 20000, max_pending 1GB, write_deadline 60s, ping_interval 1h, "
                "echo off; on one CPU as all the others")

    def argv(self, program, work, port, clients, many):
        (work / "nats.conf").write_text(
            f'listen: "127.0.0.1:{port}"\nmax_connections: 20000\nmax_pending: 1GB\n'
            'write_deadline: "60s"\nping_interval: "1h"\n')
        return [program, "-c", "nats.conf"]


# Debian's packages of the programs that are not ours.
PACKAGES = {
    "ncat": "ncat", "ngircd": "ngircd", "redis-server": "redis-server",
    "mosquitto": "mosquitto", "nats-server": "nats-server",
}


def fetch(place):
    """
    Unpacks missing peers from Debian's packages beside the build. They are not
    installed: four servers would start by themselves, now and at each boot.
    """
    missing = []
    for program, package in PACKAGES.items():
        try:
            place.find(program)
        except Missing:
            missing.append(package)
    if not missing or not shutil.which("apt-get") or place.unpacked.exists():
        return
    print("fetching Debian's packages:", *missing, flush=True)
    archives = place.build / "archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    command = ["apt-get", "-qq", "-y", "--no-install-recommends", "--download-only",
               "-o", f"Dir::Cache::archives={archives.resolve()}", "-o", "APT::Sandbox::User=",
               "install"]
    if os.geteuid() != 0:
        command.insert(1, "-oDebug::NoLocking=1")
    for package in missing: # one by one, so that one that is not there does not hold up the rest
        done = subprocess.run([*command, package], stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            print(f"{package}: not to be had; try apt-get update", flush=True)
    place.unpacked.mkdir()
    for archive in sorted(archives.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", archive, place.unpacked], check=True)
