"""The group `cluster` of the settings: what it takes, and what a reload does with it."""

import os

import pytest

from chatd import config, run
from conftest import settings

GOOD = settings("127.0.0.1:6379")


@pytest.fixture
def check(tmp):
    """check(text): what `chatd -t` says of such a file, as (status, text)."""
    def check(text):
        with open(f"{tmp}/chatd.conf", "w", encoding="utf-8") as file:
            file.write(text)
        said = run("-t", "-c", f"{tmp}/chatd.conf")
        return said.returncode, (said.stdout + said.stderr).replace(tmp, "DIR")
    return check


@pytest.mark.parametrize("address", [
    "127.0.0.1:6379", "[::1]:6379", "[::1]", "10.0.0.5", "10.0.0.5:1", "10.0.0.5:65535", "/run/redis/redis.sock"])
def test_an_address_that_is_in_order(check, address):
    assert check(settings(address)) == (0, "DIR/chatd.conf: ok\n")


@pytest.mark.parametrize("address", [
    "", "redis.example:6379", "localhost:x", "127.0.0.1:0", "127.0.0.1:65536", "::1:99999",
    "/" + "x" * 108, "127.0.0.1:6379:1", "tls://127.0.0.1:6379", " 127.0.0.1:6379"])
def test_an_address_that_is_not(check, address):
    status, said = check(settings(address))
    assert status == 78 and "DIR/chatd.conf:1: cluster.engine: " in said


def test_the_number_of_engines_has_a_limit(check):
    def of(number):
        return check(settings([f"127.0.0.1:{1 + n}" for n in range(number)]))
    most = next(n for n in range(1, 200) if of(n)[0] != 0) - 1
    assert most >= 3
    assert "cluster.engine" in of(most + 1)[1]


@pytest.mark.parametrize("fault", [
    'stream = "";', 'stream = "' + "x" * 300 + '";', "stream = 7;", r'stream = "a\nb";',
    "keep = 0;", "keep = -1;", 'keep = "many";', "keep = 99999999999;", 'user = "";',
    'user = "anna";', 'password_file = "/does/not/exist";', 'password_file = "/";',
    'password_file = "/dev/null";', 'tls = { ca = "/does/not/exist"; };', 'tls = { name = "x"; };',
    'tls = { ca = "/dev/null"; };', 'tls = { colour = "red"; };', "servers = 3;", "engine = [];"])
def test_a_fault_is_told_with_its_name(check, fault):
    status, said = check(settings("127.0.0.1:6379", fault))
    assert status == 78 and "cluster" in said


def test_a_group_without_an_engine(check):
    assert check('cluster = { stream = "x"; };')[0] == 78


def test_mode_chat_is_refused_beside_it(check):
    status, said = check(GOOD + 'mode = "chat";')
    assert status == 78 and "chat" in said and "cluster" in said


def test_tls_does_not_go_with_a_unix_socket(check, tmp, certs):
    status, said = check(settings("/run/redis.sock", f'tls = {{ ca = "{certs.pem("ca")}"; }};'))
    assert status == 78 and "cluster" in said


def test_what_is_printed_can_be_read(tmp, certs):
    with open(f"{tmp}/secret", "w", encoding="utf-8") as file:
        file.write("s3cret\n")
    with open(f"{tmp}/a", "w", encoding="utf-8") as file:
        file.write(settings(["127.0.0.1:6379", "[::1]:6380"],
                            'stream = "team"; keep = 77; user = "anna"; '
                            f'password_file = "{tmp}/secret"; '
                            f'tls = {{ ca = "{certs.pem("ca")}"; name = "redis.example"; }};'))
    first = run("-T", "-c", f"{tmp}/a").stdout
    for part in ("127.0.0.1:6379", "[::1]:6380", '"team"', "77", '"anna"', "secret", "ca.pem",
                 "redis.example"):
        assert part in first
    with open(f"{tmp}/b", "w", encoding="utf-8") as file:
        file.write(first)
    assert run("-T", "-c", f"{tmp}/b").stdout == first


def test_without_the_setting_nothing_is_printed_of_it(tmp):
    with open(f"{tmp}/a", "w", encoding="utf-8") as file:
        file.write("port = 1;\n")
    assert "cluster" not in run("-T", "-c", f"{tmp}/a").stdout


def test_a_reload_that_leaves_it_alone(engine, node):
    e = engine()
    d = node(e.path)
    d.configure(more=settings(e.path) + "limits = { clients = 7; };")
    d.reload()
    assert not d.stderr.count("cluster.*restart")


@pytest.mark.parametrize("change", ['stream = "other";', "keep = 77;", None])
def test_a_reload_that_changes_it_says_that_it_takes_a_restart(engine, node, change):
    e = engine()
    d = node(e.path)
    a, b = d.clients(2)
    d.write(config(more="" if change is None else settings(e.path, change)))
    since = d.stderr.mark()
    d.signal(1)
    d.stderr.wait_for(r"cluster.*restart", since=since)
    a.send(b"as before\n")
    b.expect(b"as before\n")
    assert e.call("XLEN", "chatd") == 1


def test_a_password_file_that_the_service_could_not_read(check, tmp):
    if os.geteuid() != 0:
        pytest.skip("root judges for the service")
    with open(f"{tmp}/secret", "w", encoding="utf-8") as file:
        file.write("s3cret\n")
    os.chmod(f"{tmp}/secret", 0o600)
    status, said = check(settings("127.0.0.1:6379", f'password_file = "{tmp}/secret";'))
    assert status == 0 and "warning" in said
