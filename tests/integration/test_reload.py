"""SIGHUP: the new file is taken as a whole or not at all, and nobody is disconnected by it."""

import os
import signal

import pytest

from chatd import Client, free_port, talk


def test_a_reload_disconnects_nobody_and_tears_no_line(start):
    d = start()
    a, b, c = d.clients(3)
    a.send(b"first half, ")
    d.stdout.wait_for(r"12 bytes received from sd 4\n")
    d.configure(more="limits = { clients = 50; };")
    assert d.reload() == f"reloaded {d.file}\n"
    a.send(b"second half\n")
    b.expect(b"first half, second half\n")
    c.expect(b"first half, second half\n")
    talk(a, b, c)


def test_the_trace_can_be_switched_off_and_on(start):
    d = start()
    a, b = d.clients(2)
    d.configure(trace=False)
    d.reload()
    since = d.stdout.mark()
    talk(a, b)
    d.configure(trace=True)
    d.reload()
    quiet = d.stdout.text()[since:]
    assert "bytes received" not in quiet
    a.send(b"hello again\n")
    b.expect(b"hello again\n")
    d.stdout.wait_for(r"12 bytes received from sd 4\n", since=since)


def test_the_log_of_connections_can_be_switched_off_and_on(start):
    d = start()
    d.client()
    d.configure(log=False)
    d.reload()
    since, d.log = d.stderr.mark(), False
    d.client()
    d.configure(log=True)
    d.reload()
    assert d.stderr.count("connected as sd", since) == 0
    d.log = True
    d.client()


def test_the_limit_of_clients_changes(start):
    d = start(more="limits = { clients = 2; };")
    a, b = d.clients(2)
    assert d.client(wait=False).read_to_end() == b"chatd: too many clients, at most 2\n"
    d.configure(more="limits = { clients = 3; };")
    d.reload()
    c = d.client()
    talk(a, b, c)
    d.configure(more="limits = { clients = 1; };")
    d.reload()
    assert d.client(wait=False).read_to_end() == b"chatd: too many clients, at most 1\n"
    talk(a, b, c)  # those already inside stay


def test_the_limit_for_an_address_changes(start):
    d = start()
    a, b = d.clients(2)
    d.configure(more="limits = { clients_per_address = 1; };")
    d.reload()
    assert d.client(wait=False).read_to_end() \
        == b"chatd: too many clients from your address, at most 1\n"
    talk(a, b, d.client(source="127.0.0.2"))


def test_the_limit_of_a_line_changes_also_for_a_line_that_has_begun(start):
    d = start(more="limits = { line = 100; };")
    a, b, c = d.clients(3)
    a.send(b"x" * 90)
    d.stdout.wait_for(r"90 bytes received from sd 4\n")
    d.configure(more="limits = { line = 200; };")
    d.reload()
    a.send(b"x" * 60)
    d.stdout.wait_for(r"60 bytes received from sd 4\n")
    a.send(b"x" * 49 + b"\n")
    b.expect(b"x" * 199 + b"\n")
    a.send(b"x" * 150)
    d.stdout.wait_for(r"150 bytes received from sd 4\n")
    d.configure(more="limits = { line = 100; };")
    d.reload()
    a.send(b"x\n")
    assert a.read_to_end() == b"chatd: line too long, at most 100 bytes\n"
    c.expect(b"x" * 199 + b"\n")
    talk(b, c)


def test_sanitize_changes(start):
    d = start()
    a, b = d.clients(2)
    a.send(b"\x1b[31mred\n")
    b.expect(b"\x1b[31mred\n")
    d.configure(more="sanitize = true;")
    d.reload()
    a.send(b"\x1b[31mred\n")
    b.expect(b"?[31mred\n")


def test_the_idle_limit_changes(start):
    d = start()
    a = d.client()
    d.configure(more="limits = { idle = 2; };")
    d.reload()
    assert a.read_to_end() == b"chatd: idle for 2 seconds\n"
    b = d.client()
    d.configure()
    d.reload()
    c = d.client()
    talk(b, c)


def test_a_new_listener_is_opened_and_a_kept_one_stays_the_same_socket(start, tmp):
    d = start(listen=["127.0.0.1:0"])
    a = d.client()
    kept, inode = d.address, d.fds()[3]
    extra = ("127.0.0.1", free_port())
    d.configure(listen=["127.0.0.1:0", f"127.0.0.1:{extra[1]}", f"{tmp}/socket"])
    log = d.reload()
    assert f"listening on 127.0.0.1:{extra[1]}\n" in log
    assert f"listening on {tmp}/socket\n" in log
    assert f"listening on 127.0.0.1:{kept[1]}\n" not in log
    assert d.fds()[3] == inode
    clients = [a, d.client(to=kept), d.client(to=extra), d.client(to=f"{tmp}/socket")]
    talk(*clients)


def test_a_listener_that_is_gone_from_the_file_is_closed_and_its_clients_stay(start, tmp):
    ports = [free_port(), free_port()]
    listen = [f"127.0.0.1:{port}" for port in ports] + [f"{tmp}/socket"]
    d = start(listen=listen)
    clients = [d.client(to=address) for address in d.addresses()]
    d.configure(listen=listen[:1])
    d.reload()
    with pytest.raises(ConnectionRefusedError):
        Client(("127.0.0.1", ports[1]))
    with pytest.raises(FileNotFoundError):
        Client(f"{tmp}/socket")
    talk(*clients, d.client(to=("127.0.0.1", ports[0])))


def test_a_kept_unix_socket_gets_the_new_mode(start, tmp):
    path = f"{tmp}/socket"
    d = start(listen=[path], more='unix = { mode = "0600"; };')
    a = d.client()
    d.configure(listen=[path], more='unix = { mode = "0666"; };')
    d.reload()
    assert os.stat(path).st_mode & 0o7777 == 0o666
    talk(a, d.client())


def test_clients_that_wait_for_accept_on_a_kept_listener_are_not_lost(start):
    d = start()
    a = d.client()
    d.configure(more="limits = { clients = 500; };")
    d.pause()
    waiting = [d.client(wait=False) for _ in range(20)]
    d.signal(signal.SIGHUP)
    d.resume()
    d.stderr.wait_for(r"connected as sd", count=21)
    talk(a, *waiting)


@pytest.mark.parametrize("how", ["dropped", "overlapped", "unix", "file removed"])
def test_clients_that_wait_for_accept_on_a_listener_that_goes_come_in_and_are_heard(start, tmp, how):
    """Overlapped: the old listener goes before the new one comes."""
    port, path = free_port(), f"{tmp}/socket"
    old = path if how in ("unix", "file removed") else f"0.0.0.0:{port}"
    new = {"overlapped": [f"127.0.0.1:{port}"], "file removed": [old]}.get(how, [])
    d = start(listen=["127.0.0.1:0", old])
    listener = d.client()
    for number in range(10):
        d.configure(listen=["127.0.0.1:0", *new])
        d.pause()
        waiting = [Client(path if old == path else ("127.0.0.1", port)) for _ in range(10)]
        for n, client in enumerate(waiting):
            client.send(b"round %d, client %d\n" % (number, n))
        if how == "file removed":
            os.unlink(path)
        since = d.stderr.mark()
        d.signal(signal.SIGHUP)
        d.resume()
        d.stderr.wait_for(r"reloaded ", since=since)
        heard = set(listener.lines(10))
        assert heard == {b"round %d, client %d\n" % (number, n) for n in range(10)}
        if how != "file removed":
            d.configure(listen=["127.0.0.1:0", old])
            d.reload()
        for client in waiting:
            client.close()
    talk(listener, d.client())


def test_the_port_may_change(start):
    old, new = free_port(), free_port()
    d = start(listen=[f"127.0.0.1:{old}"])
    a = d.client()
    d.configure(listen=[f"127.0.0.1:{new}"])
    d.reload()
    b = d.client(to=("127.0.0.1", new))
    talk(a, b)
    with pytest.raises(ConnectionRefusedError):
        Client(("127.0.0.1", old))


def test_the_wildcard_may_give_way_to_one_address_of_the_same_port(start):
    """Both at once are impossible: one socket must go before the other comes."""
    port = free_port()
    d = start(listen=[f"0.0.0.0:{port}"])
    a = d.client()
    d.configure(listen=[f"127.0.0.1:{port}"])
    d.reload()
    b = d.client(to=("127.0.0.1", port))
    with pytest.raises(ConnectionRefusedError):
        Client(("127.0.0.2", port))
    d.configure(listen=[f"0.0.0.0:{port}"])
    d.reload()
    c = d.client(to=("127.0.0.2", port))
    talk(a, b, c)


def test_faults_refuse_the_reload_and_the_old_settings_stay(start):
    d = start(more="limits = { clients = 2; };")
    a, b = d.clients(2)
    for text, fault in (
            ("trace = true;\nport = 0;", f"{d.file}:2: port: "),
            ("limits = { clients = 5;\n", f"{d.file}:"),
            ('listen = [ "127.0.0.1:0" ]; limits = { clients = 5; };\nnonsense = 1;',
             f"{d.file}:2: nonsense: ")):
        d.write(text)
        log = d.reload(accepted=False)
        assert log.startswith(fault)
        assert log.endswith(f"{d.file}: not reloaded, the old settings stay\n")
        talk(a, b)
        refused = d.client(wait=False)
        assert refused.read_to_end() == b"chatd: too many clients, at most 2\n"
        d.stderr.wait_for(rf"{refused.name} refused: ")  # it is to be told before the next reload
    d.configure(more="limits = { clients = 3; };")
    d.reload()
    talk(a, b, d.client())


def test_several_faults_of_a_reload_are_all_told(start):
    d = start()
    d.write("port = 0;\ntrace = 1;\ncolour = 2;\n")
    log = d.reload(accepted=False)
    assert [line.removeprefix(d.file)[:3] for line in log.splitlines()] == [":1:", ":2:", ":3:", ": n"]


def test_a_missing_file_refuses_the_reload(start):
    d = start()
    a, b = d.clients(2)
    os.unlink(d.file)
    log = d.reload(accepted=False)
    assert log.startswith(f"{d.file}: No such file or directory\n")
    talk(a, b)


def test_a_listener_that_cannot_be_opened_refuses_the_reload_as_a_whole(start):
    d = start(more="limits = { clients = 2; };")
    a, b = d.clients(2)
    good = free_port()
    d.configure(listen=[f"127.0.0.1:{good}", "/nonexistent/socket"], trace=False,
                more="limits = { clients = 5; };")
    log = d.reload(accepted=False)
    assert "bind /nonexistent/socket: No such file or directory\n" in log
    assert d.client(wait=False).read_to_end() == b"chatd: too many clients, at most 2\n"
    with pytest.raises(ConnectionRefusedError):
        Client(("127.0.0.1", good))
    since = d.stdout.mark()
    talk(a, b)
    d.stdout.wait_for(r"6 bytes received", since=since)


def test_many_reloads_leak_no_descriptor(start, tmp):
    d = start()
    a, b = d.clients(2)
    before = d.fds()
    for round in range(20):
        d.configure(listen=["127.0.0.1:0"] + ["127.0.0.2:0", f"{tmp}/socket"] * (round % 2))
        d.reload()
    d.configure()
    d.reload()
    assert d.fds() == before
    talk(a, b)


def test_a_file_that_stays_the_same_is_reloaded_quietly(start):
    d = start()
    assert d.reload() == f"reloaded {d.file}\n"


def test_a_port_of_the_command_line_outlives_the_reload(start, tmp):
    port = free_port()
    with open(f"{tmp}/conf", "w", encoding="utf-8") as file:
        file.write('port = 1; listen = [ "127.0.0.1" ]; log_connections = true;')
    d = start(args=["-c", f"{tmp}/conf", str(port)])
    a, b = d.clients(2)
    d.reload()
    talk(a, b, d.client(to=("127.0.0.1", port)))


def test_a_file_given_by_a_relative_name_is_found_again(start):
    d = start()
    d.stop()
    d.command = [*d.command[:-1], "chatd.conf"]  # started in its directory
    d.start()
    d.configure(more="limits = { clients = 2; };")
    d.signal(signal.SIGHUP)
    d.stderr.wait_for(r"reloaded \S*chatd.conf\n")


def test_a_file_that_has_no_settings_any_more_is_not_taken(start):
    """It is being written, and open to everyone for a moment otherwise."""
    d = start(more='deny = [ "127.0.0.2" ];')
    a, b = d.clients(2)
    for text in ("", "# to be written\n"):
        d.write(text)
        assert d.reload(accepted=False) \
            == (f"{d.file}: holds no settings any more\n"
                f"{d.file}: not reloaded, the old settings stay\n")
    os.mkdir(f"{d.file}.d")
    with open(f"{d.file}.d/one.conf", "w", encoding="utf-8") as file:
        file.write("sanitize = true;")
    d.reload(accepted=False)
    talk(a, b)
    assert d.client(wait=False, source="127.0.0.2").read_to_end() \
        == b"chatd: your address is not allowed\n"
    d.configure(more="sanitize = true;")
    d.reload()
    talk(a, b)


def test_a_reload_reads_the_folder_too_and_its_faults_refuse_it(start):
    d = start()
    a, b = d.clients(2)
    os.mkdir(f"{d.file}.d")
    more = f"{d.file}.d/more.conf"
    with open(more, "w", encoding="utf-8") as file:
        file.write("limits = { line = 5; };")
    d.reload()
    a.send(b"1234\n")
    b.expect(b"1234\n")
    a.send(b"12345\n")
    assert a.read_to_end() == b"chatd: line too long, at most 5 bytes\n"
    with open(more, "w", encoding="utf-8") as file:
        file.write("\nlimits = { line = 1; };")
    assert f"{more}:2: limits.line: 1 is out of range" in d.reload(accepted=False)


def test_who_has_all_settings_in_the_folder_can_reload(start, tmp):
    os.mkdir(f"{tmp}/empty.d")
    with open(f"{tmp}/empty.d/all.conf", "w", encoding="utf-8") as file:
        file.write('listen = "127.0.0.1:0";\n')
    with open(f"{tmp}/empty", "w", encoding="utf-8"):
        pass
    d = start(args=["-c", f"{tmp}/empty"])
    with open(f"{tmp}/empty.d/all.conf", "a", encoding="utf-8") as file:
        file.write("log_connections = true;\n")
    d.reload()
    d.log = True
    talk(*d.clients(2))
