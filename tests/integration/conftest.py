"""Fixtures, and output as TAP for the build system (`--tap`).

A test is one promise, its name the promise in words. It starts what it needs with `start`,
and need not stop it: at its end every daemon that still runs gets SIGTERM and must end with
status 0 and without a report of a sanitizer.
"""

import shutil
import sys
import tempfile

import pytest

import chatd
import tls
from store import Store


@pytest.fixture
def tmp():
    """A new directory with a short name (the path of a unix socket has 107 bytes)."""
    path = tempfile.mkdtemp(prefix="chatd-")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def daemon(tmp, request):
    """daemon(...) makes a chatd.Daemon that is not started yet, and ends it with the test."""
    request.node.daemons = daemons = []

    def make(**how):
        directory = tempfile.mkdtemp(prefix=f"{len(daemons)}-", dir=tmp)
        daemons.append(chatd.Daemon(directory, **how))
        return daemons[-1]

    yield make
    try:
        if not getattr(request.node, "failed", False):
            for each in daemons:
                each.close_clients()
                if each.running():
                    each.stop()
                elif each.process:
                    each.check_reports()
    finally:
        for each in daemons:
            each.kill()


@pytest.fixture
def start(daemon):
    """start(...) makes a chatd.Daemon and returns when it listens."""
    return lambda **how: daemon(**how).start()


@pytest.fixture
def notify(tmp):
    """A socket to be given to a daemon: start(env=notify.env)."""
    listener = chatd.NotifySocket(f"{tmp}/notify")
    yield listener
    listener.close()


@pytest.fixture
def store(tmp):
    """A service manager that keeps descriptors. See store.py."""
    chatd.needs_systemd()
    manager = Store(f"{tmp}/notify")
    yield manager
    manager.close()


@pytest.fixture(scope="session")
def certs():
    """Certificates and keys, made once: certs("server") names the files. See tls.py."""
    chatd.needs_tls()
    with tempfile.TemporaryDirectory(prefix="chatd-certs-") as folder:
        yield tls.Certs(folder)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Show what the daemons said beside a failure."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    item.failed = True
    for number, each in enumerate(getattr(item, "daemons", [])):
        for name in ("stderr", "stdout"):
            stream = getattr(each, name)
            if stream:
                report.sections.append((f"chatd {number} {name}", stream.text()[-3000:]))


# --- TAP

def pytest_addoption(parser):
    parser.addoption("--tap", action="store_true", help="print TAP, and nothing else")


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    if config.option.tap:
        config.pluginmanager.unregister(name="terminalreporter")
        config.pluginmanager.register(Tap(), "tap")


class Tap:
    """One `ok` or `not ok` line for a test, once its teardown is over."""

    def __init__(self):
        self.number = 0
        self.reports = []  # of the test that runs: setup, call, teardown
        self.skipped = None  # why a whole file is skipped

    def pytest_collection_finish(self, session):
        why = f" # SKIP {self.skipped}" if self.skipped and not session.items else ""
        self.say(f"1..{len(session.items)}{why}")

    def pytest_collectreport(self, report):
        if report.failed:
            self.explain(report)
            self.say(f"Bail out! cannot load {report.nodeid}")
        elif report.skipped:
            self.skipped = self.reason(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session):
        if session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self.skipped:
            session.exitstatus = pytest.ExitCode.OK

    def pytest_runtest_logreport(self, report):
        self.reports.append(report)
        if report.when != "teardown":
            return
        reports, self.reports = self.reports, []
        self.number += 1
        name = report.nodeid.rsplit("::", 1)[-1].removeprefix("test_").replace("_", " ")
        name = name.replace("#", "number ")
        skipped = [r for r in reports if r.skipped]
        failed = [r for r in reports if r.failed]
        if failed:
            self.say(f"not ok {self.number} - {name}")
        elif skipped:
            self.say(f"ok {self.number} - {name} # SKIP {self.reason(skipped[0])}")
        else:
            seconds = sum(r.duration for r in reports)
            self.say(f"ok {self.number} - {name}")
            self.say(f"# {seconds:.2f} s")
        for each in failed:
            self.explain(each)

    @staticmethod
    def reason(report):
        if isinstance(report.longrepr, tuple):
            return report.longrepr[2].removeprefix("Skipped: ")
        return "expected to fail"

    def explain(self, report):
        text = report.longreprtext
        for title, content in report.sections:
            text += f"\n--- {title}\n{content}"
        for line in text.splitlines():
            self.say("# " + line)

    @staticmethod
    def say(line):
        print(line.encode("ascii", "backslashreplace").decode(), flush=True, file=sys.stdout)
