"""examples/join: a person on a terminal, who stays in the chat."""

import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import termios

import pytest

from chatd import PATIENCE, Output, free_port, reachable, wait_until

JOIN = pathlib.Path(__file__).parents[2] / "examples" / "join"
NEEDS = ("sh", "cat", "mkfifo", "mktemp", "rm", "sed", "setsid", "sleep", "tee",
         "rlwrap")
AGAIN = "trying again every 2 seconds"


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


class Person:
    """join on a terminal of its own."""

    def __init__(self, folder, *args, program=JOIN, cwd="/", **env):
        self.folder = folder  # where join puts what it needs while it runs
        self.fd, its = pty.openpty()
        termios.tcsetwinsize(its, (24, 80))  # rlwrap wants to know
        # A session of its own, whose terminal this is. setsid execs, so its number is that of join.
        self.process = subprocess.Popen(
            [shutil.which("setsid"), "--ctty", program, *args], stdin=its, stdout=its, stderr=its,
            cwd=cwd, env={**os.environ, "TERM": "xterm", "TMPDIR": folder, **env})
        os.close(its)
        self.shown = Output(os.dup(self.fd))

    def type(self, text):
        os.write(self.fd, text.encode())

    def shell(self):
        """The process that rlwrap wraps."""
        rlwrap, = children(self.process.pid)
        shell, = children(rlwrap)
        return shell

    def sees(self, text, since=0):
        """Waits until the terminal has shown it, also in a line that has no end yet."""
        try:
            wait_until(lambda: text in self.shown.text()[since:])
        except AssertionError:
            raise AssertionError(f"no {text!r} in {self.shown.text()[since:]!r}") from None

    def ends(self):
        """The exit status; nothing of it is left then."""
        self.shown.wait_for_end()
        self.process.wait(PATIENCE)
        assert os.listdir(self.folder) == []
        return self.process.returncode

    def hang_up(self):
        """As the kernel does when a terminal goes away."""
        os.killpg(self.process.pid, signal.SIGHUP)

    def close(self):
        if self.process.poll() is None:
            self.hang_up()
            self.shown.wait_for_end()
            self.process.wait(PATIENCE)
        os.close(self.fd)


@pytest.fixture
def join(tmp):
    """join(ARGUMENT..., VARIABLE=VALUE...) starts one."""
    for program in ("rlwrap", "socat"):
        if not shutil.which(program):
            pytest.skip(f"{program} is missing")
    folder = f"{tmp}/join"
    os.mkdir(folder)
    people = []
    yield lambda *args, **env: people.append(Person(folder, *args, **env)) or people[-1]
    for person in people:
        person.close()


def chat(start, **how):
    """A chat that can be started again at the same port."""
    return start(listen=[f"127.0.0.1:{free_port()}"], more='mode = "chat";', **how)


def until(client, wanted):
    while (line := client.line()) != wanted:
        assert line, f"{wanted} did not come"


def restart(d):
    d.close_clients()
    d.stop()
    d.start()


def only(tmp, *programs):
    """A PATH on which there is nothing else."""
    path = pathlib.Path(tmp, "bin")
    path.mkdir()
    for name in programs:
        found = shutil.which(name)
        if not found:
            pytest.skip(f"{name} is missing")
        (path / name).symlink_to(found)
    return str(path)


def test_a_half_typed_line_stays_over_a_reconnect_below_what_comes_in(start, join):
    d = chat(start)
    person = join("127.0.0.1", str(d.port))
    person.sees("* welcome, guest")
    person.type("half a li")
    person.sees("half a li")
    restart(d)
    person.sees("join: the connection has ended; " + AGAIN)
    person.sees("join: connected again")
    other = d.client()
    other.send(b"/name bob\nover here\n")
    person.sees("bob: over here")
    # It has a line of its own, and what was typed is shown again below.
    wait_until(lambda: re.search(r"\rbob: over here\r*\n[^\n]*\rhalf a li$",
                                 re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", person.shown.text())))
    person.type("ne\n")
    while not re.fullmatch(rb"guest\d+: half a line\n", line := other.line()):
        assert line


def test_a_name_is_taken_again_before_what_was_typed_meanwhile(start, join):
    d = chat(start)
    person = join("--name", "alice", "127.0.0.1", str(d.port))
    person.sees("* you are alice")
    d.stop()
    person.sees(AGAIN)
    person.type("I am still here\n")
    since = len(person.shown.text())
    d.start()
    bob = d.client()
    until(bob, b"alice: I am still here\n")
    person.sees("* you are alice", since)

    # What /name gave is remembered, too.
    bob.send(b"/name bob\n")
    until(bob, b"* you are bob\n")
    restart(d)
    person.sees("connected again", since)
    carol = join("127.0.0.1", str(d.port))
    carol.type("/name carol\n")
    carol.sees("* you are carol")
    restart(d)
    watcher = d.client()
    watcher.send(b"/name watcher\n")
    seen = ""
    while not all(name in seen for name in ("alice", "carol", "watcher")):
        line = watcher.line().decode()
        assert line
        seen += line if line.startswith(("* came: ", "* here: ")) else ""


@pytest.mark.parametrize("how", ["/quit\n", "\x04", "\x03"], ids=["quit", "control-D", "control-C"])
@pytest.mark.parametrize("server", [True, False], ids=["connected", "refused"])
def test_it_leaves(start, join, how, server):
    d = chat(start)
    watcher = d.client()
    person = join("127.0.0.1", str(d.port if server else free_port()))
    if server:
        person.sees("* welcome, guest")
        person.type("goodbye\n")
        until(watcher, b"guest5: goodbye\n")
    else:
        person.sees("join: Connection refused; " + AGAIN)
    person.type(how)
    assert person.ends() == 0
    if server:
        d.stderr.wait_for(r"disconnected from sd 5: ")
    assert person.shown.text().count("trying") == (0 if server else 1)


def test_control_c_ends_no_connection_before_join_knows_of_it(start, join):
    d = chat(start)
    watcher = d.client()
    person = join("127.0.0.1", str(d.port))
    person.sees("* welcome, guest")
    shell = person.shell()
    os.kill(shell, signal.SIGSTOP)
    os.killpg(os.getpgid(shell), signal.SIGINT)  # as the terminal that rlwrap has made does
    watcher.send(b"still there?\n")
    person.sees("still there?")
    os.kill(shell, signal.SIGCONT)
    assert person.ends() == 0
    assert "trying" not in person.shown.text()


def test_what_was_typed_before_the_end_is_said(start, join):
    d = chat(start)
    watcher = d.client()
    person = join("127.0.0.1", str(d.port))
    person.sees("* welcome, guest")
    person.type("one\ntwo\n/quit\n")
    until(watcher, b"guest5: one\n")
    assert watcher.line() == b"guest5: two\n"
    assert person.ends() == 0


def test_it_starts_from_its_own_folder(start, join):
    d = chat(start)
    person = join("join", "127.0.0.1", str(d.port), program="sh", cwd=JOIN.parent)
    person.sees("* welcome, guest")  # and not what the join of coreutils says
    person.type("/quit\n")
    assert person.ends() == 0


def test_a_terminal_that_goes_away_ends_it(start, join):
    d = chat(start)
    person = join("127.0.0.1", str(d.port))
    person.sees("* welcome, guest")
    person.hang_up()
    d.stderr.wait_for(r"disconnected from sd 4: ")
    assert person.ends() == 1


def test_a_unix_socket(start, join, tmp):
    path = f"{tmp}/a socket: (1,2)"
    d = start(listen=["127.0.0.1:0", path], more='mode = "chat";')
    watcher = d.client()
    person = join(path)
    person.sees("* welcome, guest")
    person.type("hello \\n $(id)\n")
    until(watcher, rb"guest6: hello \n $(id)" + b"\n")
    person.type("/quit\n")
    assert person.ends() == 0


def test_without_socat_nc_does(start, join, tmp):
    d = chat(start)
    watcher = d.client()
    person = join("127.0.0.1", str(d.port), PATH=only(tmp, *NEEDS, "nc"))
    person.sees("* welcome, guest")
    person.type("through nc\n")
    until(watcher, b"guest5: through nc\n")
    restart(d)
    person.sees("join: the connection has ended; " + AGAIN)
    person.sees("join: connected again")
    person.type("\x04")
    assert person.ends() == 0


def say(*args, **env):
    done = subprocess.run([JOIN, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={**os.environ, **env}, timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


def test_it_says_what_is_missing(tmp):
    path = only(tmp, "sh", "sed")
    assert say(PATH=path) == (1, "", "join: socat is missing: sudo apt install socat\n")
    pathlib.Path(path, "nc").symlink_to("/bin/true")
    assert say(PATH=path) == (1, "", "join: rlwrap is missing: sudo apt install rlwrap\n")
    pathlib.Path(path, "rlwrap").symlink_to("/bin/true")
    assert say(PATH=path) == (
        1, "", "join: this is for somebody at a terminal; a script says something with nc -N\n")
    assert say("--tls", PATH=path) == (
        1, "", "join: socat is missing, which --tls needs: sudo apt install socat\n")
    assert say("--tls", "--ca", f"{tmp}/none") == (
        1, "", f"join: there is no file {tmp}/none that can be read\n")


def test_it_explains_itself():
    status, shown, errors = say("--help")
    assert (status, errors) == (0, "")
    assert shown.startswith("usage: join ") and max(map(len, shown.splitlines())) <= 80
    for args, why in ((["--nme"], "there is no option --nme"), (["--name"], "--name needs a value"),
                      (["a", "1", "b"], "too many arguments")):
        assert say(*args) == (1, "", f"join: {why}; join --help tells more\n")


def test_tls_checks_the_certificate(start, join, tmp):
    if not shutil.which("openssl"):
        pytest.skip("openssl is missing")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "1", "-subj", "/CN=localhost", "-keyout", f"{tmp}/key",
                    "-out", f"{tmp}/cert", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True)
    d = chat(start)
    port = free_port()
    with subprocess.Popen(["socat", f"OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,"
                           f"cert={tmp}/cert,key={tmp}/key,verify=0", f"TCP:127.0.0.1:{d.port}"],
                          stderr=subprocess.DEVNULL, start_new_session=True) as front:
        try:
            wait_until(lambda: reachable(port))
            person = join("--tls", "--ca", f"{tmp}/cert", "localhost", str(port))
            person.sees("* welcome, guest")
            person.type("/quit\n")
            assert person.ends() == 0
            stranger = join("--tls", "localhost", str(port))
            stranger.sees(AGAIN)
            assert "welcome" not in stranger.shown.text()
            assert "join: certificate verify failed; trying" in stranger.shown.text()
        finally:
            os.killpg(front.pid, signal.SIGTERM)
