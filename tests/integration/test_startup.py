"""The command line, and what goes wrong before chatd serves: one message, status 1 or 78."""

import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from chatd import CHATD, NO_LEAK_CHECK, Client, free_port, has_ipv6, run, talk, wait_until


def fails(result, message, status=1):
    """It ended with that status, `message` (a pattern) on stderr, nothing on stdout."""
    assert result.returncode == status, result
    assert result.stdout == ""
    assert re.search(message, result.stderr, re.M), result.stderr
    return result.stderr


def test_a_port_is_all_that_is_needed(start):
    port = free_port()
    d = start(args=[str(port)])
    assert re.search(rf"^listening on (\[::\]|0\.0\.0\.0):{port}$", d.stderr.text(), re.M)
    a, b = d.clients(2)
    a.send(b"hello\n")
    b.expect(b"hello\n")


def test_by_default_both_families_are_served_by_one_socket(start):
    if not has_ipv6():
        pytest.skip("no IPv6 here")
    d = start(args=[str(free_port())])
    assert d.stderr.text() == f"listening on [::]:{d.port}\n"
    four = d.client(to=("127.0.0.1", d.port))
    six = d.client(to=("::1", d.port))
    four.send(b"hello\n")
    six.expect(b"hello\n")


@pytest.mark.skipif(not shutil.which("strace") or subprocess.run(
    ["strace", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode,
    reason="strace is missing or may not trace")
def test_where_there_is_no_ipv6_ipv4_alone_is_served(start):
    port = free_port()
    d = start(args=[str(port)], env=NO_LEAK_CHECK, under=[
        "strace", "-D", "-o", "/dev/null", "-e", "trace=socket",
        "-e", "inject=socket:error=EAFNOSUPPORT:when=1"])
    assert f"listening on 0.0.0.0:{port}\n" in d.stderr.text()
    a, b = d.clients(2)
    a.send(b"hello\n")
    b.expect(b"hello\n")


def test_port_beside_a_file_overrides_the_port_of_the_file(start, tmp):
    other, port = free_port(), free_port()
    with open(f"{tmp}/conf", "w", encoding="utf-8") as file:
        file.write(f'port = {other}; listen = [ "127.0.0.1" ]; trace = false;')
    d = start(args=["-c", f"{tmp}/conf", str(port)])
    assert d.stderr.text() == f"listening on 127.0.0.1:{port}\n"
    d.stop()
    assert d.stdout.text() == ""  # the rest of the file counts
    d = start(args=["-c", f"{tmp}/conf"])
    assert d.stderr.text() == f"listening on 127.0.0.1:{other}\n"


@pytest.mark.parametrize("port", ["1", "65535"])
def test_the_ends_of_the_port_range_are_accepted(start, port):
    """In a network namespace of its own, where each port is free and nobody is privileged."""
    unshare = ["unshare", "-rn", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network namespaces here")
    d = start(args=[port], under=unshare)
    assert re.search(rf"^listening on \S+:{port}$", d.stderr.text(), re.M)


@pytest.mark.parametrize("port", ["0", "65536", "99999999999999999999", "4294976330", "abc",
                                  "9034x", "x9034", "90 34", " ", "", "0x2345", "1e3", "9034.0"])
def test_a_bad_port_is_refused_by_its_name(port):
    message = fails(run(port), re.escape(port))
    assert re.search("port|usage", message, re.I)
    assert "listening" not in message


def test_an_unknown_option_is_refused():
    fails(run("-x"), "x")
    fails(run("-1"), "1")
    fails(run("-x", "9034"), "x")
    fails(run("--listen", "9034"), "-")


def test_an_option_without_its_argument_is_refused():
    fails(run("-c"), "c")


def test_a_second_port_is_refused():
    fails(run(str(free_port()), str(free_port())), ".")


def test_a_missing_file_is_named():
    fails(run("-c", "/nonexistent/chatd.conf"),
          "^/nonexistent/chatd.conf: No such file or directory$", status=78)


def test_a_directory_in_place_of_the_file_is_refused(tmp):
    fails(run("-c", tmp), f"^{re.escape(tmp)}: ", status=78)


def test_a_port_in_use_is_told_with_its_address(tmp):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with open(f"{tmp}/conf", "w", encoding="utf-8") as file:
            file.write(f'listen = [ "127.0.0.1:{port}" ];')
        message = fails(run("-c", f"{tmp}/conf"), ".")
        assert message == f"bind 127.0.0.1:{port}: Address already in use\n"


def test_the_wildcard_port_in_use_is_told(start):
    port = start(args=[str(free_port())]).port
    message = fails(run(str(port)), ".")
    assert re.fullmatch(rf"bind (\[::\]|0\.0\.0\.0):{port}: Address already in use\n", message)


def test_one_of_two_addresses_in_use_is_enough_to_fail(tmp):
    free = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with open(f"{tmp}/conf", "w", encoding="utf-8") as file:
            file.write(f'listen = [ "127.0.0.1:{free}", "127.0.0.1:{port}" ];')
        fails(run("-c", f"{tmp}/conf"), f"^bind 127.0.0.1:{port}: Address already in use$")


def test_a_port_can_be_used_again_right_after_the_end(start):
    """Though connections that chatd closed first linger in the kernel."""
    port = free_port()
    for _ in range(3):
        d = start(listen=[f"127.0.0.1:{port}"])
        clients = d.clients(3)
        d.stop()
        for client in clients:
            client.expect_farewell()


def may_unshare():
    return shutil.which("ip") and shutil.which("nsenter") and not subprocess.run(
        ["unshare", "-n", "true"], check=False, capture_output=True).returncode


@pytest.mark.skipif(not may_unshare(), reason="needs a network of its own")
@pytest.mark.parametrize("address, host", [("192.0.2.77:9034", "192.0.2.77"),
                                           ("[2001:db8::77]:9034", "2001:db8::77")])
def test_an_address_that_comes_later_is_served_as_soon_as_it_does(start, address, host):
    if ":" in host and not has_ipv6():
        pytest.skip("no IPv6 here")
    d = start(listen=[address, "127.0.0.1:0"], under=[
        "unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"])
    inside = ["nsenter", "-t", str(d.pid), "-n"]
    assert f"listening on {address} as soon as this machine has that address\n" in d.stderr.text()
    knock = [*inside, "python3", "-c", "import socket; socket.create_connection(('%s', 9034), 5)" % host]
    assert subprocess.run(knock, check=False, capture_output=True).returncode != 0
    bits = 128 if ":" in host else 32
    subprocess.run([*inside, "ip", "address", "add", f"{host}/{bits}", "dev", "lo"], check=True)
    subprocess.run(knock, check=True)
    d.stderr.wait_for(re.escape(host) + r"\]?:\d+ connected as sd")


@pytest.mark.skipif(not shutil.which("strace") or subprocess.run(
    ["strace", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode,
    reason="strace is missing or may not trace")
def test_a_family_that_the_machine_lacks_is_skipped_with_a_warning(start):
    d = start(listen=["[::1]:9034", "127.0.0.1:0"], ready=1, env=NO_LEAK_CHECK, under=[
        "strace", "-D", "-o", "/dev/null", "-e", "trace=socket",
        "-e", "inject=socket:error=EAFNOSUPPORT:when=1"])
    assert "not listening on [::1]:9034: this machine lacks its address family\n" in d.stderr.text()
    talk(*d.clients(2, to=d.addresses()[-1]))


@pytest.mark.parametrize("address, wrong", [
    ("/nonexistent/socket", "No such file or directory"),
    ("/dev/null/socket", "Not a directory"),
])
def test_a_unix_socket_that_cannot_be_made_is_told(tmp, address, wrong):
    with open(f"{tmp}/conf", "w", encoding="utf-8") as file:
        file.write(f'listen = [ "{address}" ];')
    fails(run("-c", f"{tmp}/conf"), f"^bind {address}: {wrong}$")


def test_the_help_fits_a_terminal():
    result = run("-h")
    assert result.returncode == 0 and result.stderr == ""
    lines = result.stdout.splitlines()
    assert len(lines) <= 24
    assert max(len(line.expandtabs()) for line in lines) <= 80
    for word in ("chatd", "-c", "-t", "-T", "-h", "-V", "PORT", "FILE"):
        assert word in result.stdout


def test_the_version_is_told():
    result = run("-V")
    assert result.returncode == 0 and result.stderr == ""
    assert re.fullmatch(r"chatd \d+(\.\d+)+( [+-][a-z]+)+\n", result.stdout)


def test_help_and_version_into_a_full_disk_fail():
    with open("/dev/full", "wb") as full:
        for option in ("-h", "-V"):
            done = subprocess.run([CHATD, option], stdout=full, stderr=subprocess.PIPE, check=False)
            assert done.returncode == 1 and b"No space left on device" in done.stderr


def test_nothing_is_served_when_the_start_fails(tmp):
    """The trace begins only when everything listens."""
    free = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with open(f"{tmp}/conf", "w", encoding="utf-8") as file:
            file.write(f'listen = [ "127.0.0.1:{free}", "127.0.0.1:{taken.getsockname()[1]}" ];')
        assert run("-c", f"{tmp}/conf").stdout == ""


def test_it_starts_without_any_environment(start):
    port = free_port()
    d = start(args=[str(port)], under=["env", "-i", f"ASAN_OPTIONS={os.environ.get('ASAN_OPTIONS', '')}"])
    d.client()


def test_it_starts_with_the_signals_of_its_end_blocked(start):
    d = start(under=["env", "--block-signal=TERM,INT,HUP"])
    d.client()
    d.reload()
    d.stop(signal.SIGTERM)


def test_it_starts_in_a_directory_that_is_gone(start, tmp):
    os.mkdir(f"{tmp}/gone")
    d = start(under=["sh", "-c", f'cd {tmp}/gone && rmdir ../gone && exec "$@"', "sh"])
    d.client()


def test_descriptors_it_inherits_are_closed(start):
    """The main socket is 3 all the same, the first client 4."""
    reader, writer = os.pipe()
    d = start(pass_fds=(reader, writer))
    a, b = d.clients(2)
    assert (a.sd, b.sd) == (4, 5)
    assert set(d.fds()) == {0, 1, 2, 3, 4, 5}
    talk(a, b)
    os.close(reader)
    os.close(writer)


def test_chatd_alone_reads_the_file_of_the_system(start):
    """Only tried where /etc/chatd.conf is missing, so that its name appears in the message."""
    if os.path.exists("/etc/chatd.conf"):
        pytest.skip("/etc/chatd.conf is there")
    fails(run(), r"^/\S*/chatd.conf: No such file or directory$", status=78)


def test_it_listens_before_it_says_so(start):
    d = start()
    Client(("127.0.0.1", d.port)).close()
    wait_until(lambda: d.stderr.count("disconnected from sd") == 1)
