"""What makes one chat of many servers: how each is started, with a link that can be cut."""

import subprocess
import sys
import time
from pathlib import Path

from peers import START_SECONDS, Missing, free_port, listens

sys.path.insert(0, str(Path(__file__).parents[1] / "cluster"))
from proxy import Proxy  # noqa: E402


class Many:
    """`ports` to connect to, one for each server; `pids` of all that works; `link`, a Proxy between
    the last server and the others, if asked for."""

    name = protocol = ""
    title = ""  # of two, in the table of a cut

    def __init__(self, place, number, with_link=False):
        self.place, self.number = place, number
        self.with_link = with_link
        self.processes, self.ports, self.link = [], [], None
        self.work = place.work / self.name.replace(" ", "-").replace(",", "")
        self.work.mkdir(parents=True, exist_ok=True)
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    @property
    def pids(self):
        return [p.pid for p in self.processes]

    def run(self, argv, port=None, output=None):
        program, env = self.place.find(argv[0]) if "/" not in str(argv[0]) else (argv[0], None)
        path = self.work / (output or f"output-{len(self.processes)}")
        with open(path, "wb") as file:
            process = subprocess.Popen([program, *argv[1:]], cwd=self.work, env=env,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=file,
                                       preexec_fn=self.place.on_cpu(self.place.server_cpu))
        self.processes.append(process)
        self.wait(lambda: port is None or listens(port), process, path)
        return path

    def wait(self, true, process, path):
        deadline = time.monotonic() + START_SECONDS
        while not true():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Missing(f"{self.name}: {path.read_text(errors='replace')[-300:]}")
            time.sleep(0.01)

    def through_link(self, target):
        """The port of a link to that one."""
        self.link = Proxy(("127.0.0.1", target))
        return self.link.address[1]

    def stop(self):
        for each in reversed(self.processes):
            each.terminate()
            try:
                each.wait(10)
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()
        if self.link:
            self.link.close()


def redis(port, **more):
    options = {"save": "", "appendonly": "no", "maxclients": "20000", "tcp-backlog": "4096",
               "client-output-buffer-limit": "pubsub 0 0 0", "loglevel": "warning", **more}
    argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1"]
    for name, value in options.items():
        argv += ["--" + name, *(value.split(" ") if value else [""])]
    return argv


class Cluster(Many):
    """chatd; number 0: one, without an engine."""

    name, protocol, title = "chatd", "raw", "2 chatd and engine"
    engine_options = {}

    def start(self):
        engine = None
        if self.number:
            port = free_port()
            self.run(redis(port, dir=str(self.work), **self.engine_options), port)
            engine = f"127.0.0.1:{port}"
        for node in range(self.number or 1):
            where = engine
            if self.with_link and node == self.number - 1:
                where = f"127.0.0.1:{self.through_link(port)}"
            self.node(node, where)

    def node(self, node, engine):
        port = free_port()
        path = self.work / f"node-{node}.conf"
        path.write_text(f'listen = [ "127.0.0.1:{port}" ];\ntrace = false;\n'
                        "limits = { clients = 20000; };\n"
                        + (f'cluster = {{ engine = [ "{engine}" ]; }};\n' if engine else ""))
        log = self.run([self.place.build / "src/chatd", "-c", path], port)
        if engine:
            self.wait(lambda: "cluster: linked" in log.read_text(), self.processes[-1], log)
        self.ports.append(port)


class ClusterOnDisk(Cluster):
    name = "chatd, fsync always"
    engine_options = {"appendonly": "yes", "appendfsync": "always"}


class Mosquitto(Many):
    """Bridges lead from all others to the first one."""

    name, protocol, title = "mosquitto bridge", "mqtt", "2 mosquitto, a bridge"
    qos = 0

    def start(self):
        for node in range(self.number):
            port = free_port()
            text = (f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
                    "max_queued_bytes 0\nmax_inflight_messages 0\nset_tcp_nodelay true\n"
                    "persistence false\nlog_type error\n")
            if node:
                first = self.ports[0]
                if self.with_link and node == self.number - 1:
                    first = self.through_link(first)
                text += (f"connection bridge{node}\naddress 127.0.0.1:{first}\n"
                         f"topic # both {self.qos}\nrestart_timeout 1\ncleansession false\n"
                         "notifications false\n")
            (self.work / f"node-{node}.conf").write_text(text)
            self.run(["mosquitto", "-c", f"node-{node}.conf"], port)
            self.ports.append(port)


class MosquittoSafe(Mosquitto):
    name, qos, title = "mosquitto bridge, QoS 1", 1, "2 mosquitto, a bridge, QoS 1"


class PubSub(Many):
    """One Redis; the link is what the clients of the last server have between them and it."""

    name, protocol, title = "redis pub/sub", "redis", "1 redis, pub/sub"

    def start(self):
        port = free_port()
        self.run(redis(port), port)
        self.ports = [port] * self.number
        if self.with_link:
            self.ports[-1] = self.through_link(port)
