"""Who may come in: allow and deny, by address and network."""

import re

import pytest

from chatd import free_port, has_ipv6, talk

DENIED = b"chatd: your address is not allowed\n"


@pytest.fixture
def rules(start):
    """rules(allow, deny): a daemon on 127.0.0.1 with these."""
    def rules(allow=(), deny=(), **how):
        more = ""
        for name, networks in (("allow", allow), ("deny", deny)):
            if networks:
                more += f"{name} = [ " + ", ".join(f'"{n}"' for n in networks) + " ];\n"
        return start(more=more, **how)
    return rules


def comes_in(d, *sources, **how):
    for source in sources:
        d.client(source=source, **how).close()


def stays_out(d, *sources, **how):
    for source in sources:
        client = d.client(source=source, wait=False, **how)
        assert client.read_to_end() == DENIED, source


def test_without_rules_everybody_comes_in(rules):
    comes_in(rules(), "127.0.0.1", "127.1.2.3", "127.255.255.254")


def test_allow_lets_in_whom_it_names_and_nobody_else(rules):
    d = rules(allow=["127.0.0.2", "127.0.1.0/24"])
    comes_in(d, "127.0.0.2", "127.0.1.0", "127.0.1.1", "127.0.1.255")
    stays_out(d, "127.0.0.1", "127.0.0.3", "127.0.0.255", "127.0.2.0")


def test_deny_keeps_out_whom_it_names_and_nobody_else(rules):
    d = rules(deny=["127.0.0.2", "127.0.1.0/24"])
    stays_out(d, "127.0.0.2", "127.0.1.0", "127.0.1.1", "127.0.1.255")
    comes_in(d, "127.0.0.1", "127.0.0.3", "127.0.0.255", "127.0.2.0")


def test_deny_wins(rules):
    d = rules(allow=["127.0.0.0/8"], deny=["127.0.0.4/30"])
    comes_in(d, "127.0.0.3", "127.0.0.8")
    stays_out(d, "127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.7")
    d = rules(allow=["127.0.0.5"], deny=["127.0.0.0/8"])
    stays_out(d, "127.0.0.5", "127.0.0.6")


@pytest.mark.parametrize("bits", [8, 9, 15, 16, 17, 23, 24, 25, 30, 31, 32])
def test_networks_of_every_size_end_where_they_should(rules, bits):
    first = 0x7f555555 & ~((1 << (32 - bits)) - 1)
    last = first + (1 << (32 - bits)) - 1
    dotted = lambda n: ".".join(str(n >> shift & 255) for shift in (24, 16, 8, 0))
    d = rules(allow=[f"{dotted(first)}/{bits}"])
    comes_in(d, dotted(max(first, 0x7f000001)), dotted(min(last, 0x7ffffffe)))
    stays_out(d, *[dotted(n) for n in (first - 1, last + 1) if 0x7f000000 < n < 0x7fffffff])


def test_everything_and_nothing(rules):
    comes_in(rules(allow=["0.0.0.0/0"]), "127.0.0.1", "127.9.9.9")
    stays_out(rules(deny=["0.0.0.0/0"]), "127.0.0.1", "127.9.9.9")


def test_the_log_tells_who_was_refused(rules):
    d = rules(deny=["127.0.0.2"])
    client = d.client(source="127.0.0.2", wait=False)
    assert client.read_to_end() == DENIED
    d.stderr.wait_for(re.escape(client.name) + r" refused: address not allowed\n")


def test_a_flood_of_refused_clients_does_not_fill_the_log(rules):
    d = rules(deny=["127.0.0.2"], trace=False)
    for _ in range(300):
        stays_out(d, "127.0.0.2")
    d.stop()
    told = d.stderr.count(r"refused: address not allowed\n")
    more = re.findall(r"^\.\.\. and (\d+) more refused$", d.stderr.text(), re.M)
    assert told <= 20 and told + sum(map(int, more)) == 300


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_ipv6_rules(rules):
    for allow, deny, inside in ((["::1"], [], True), (["::1/128"], [], True), (["::/0"], [], True),
                                (["::2"], [], False), ([], ["::1"], False), ([], ["::/127"], False),
                                ([], ["::2/127"], True), (["127.0.0.1", "0.0.0.0/0"], [], False),
                                ([], ["127.0.0.1", "0.0.0.0/0"], True), (["::/0"], ["::1"], False)):
        d = rules(allow=allow, deny=deny, listen=["[::1]:0"])
        (comes_in if inside else stays_out)(d, "::1")


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_ipv4_rules_hold_for_ipv4_clients_of_a_socket_for_both(rules):
    d = rules(allow=["127.0.0.0/29", "::1"], deny=["127.0.0.3"], listen=["[::]:0"])
    four, six = ("127.0.0.1", d.port), ("::1", d.port)
    comes_in(d, "127.0.0.1", "127.0.0.7", to=four)
    stays_out(d, "127.0.0.3", "127.0.0.8", to=four)
    comes_in(d, "::1", to=six)


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_an_ipv6_rule_for_all_is_none_for_ipv4_clients(rules):
    d = rules(allow=["::/0"], listen=["[::]:0"])
    comes_in(d, "::1", to=("::1", d.port))
    stays_out(d, "127.0.0.1", to=("127.0.0.1", d.port))


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_a_rule_for_mapped_addresses_means_ipv4(rules):
    d = rules(allow=["::ffff:127.0.0.0/125"], listen=[f"[::]:{free_port()}", "127.0.0.1:0"])
    for to in (("127.0.0.1", d.address[1]), d.addresses()[1]):
        comes_in(d, "127.0.0.1", "127.0.0.7", to=to)
        stays_out(d, "127.0.0.8", to=to)


def test_rules_are_for_addresses_and_unix_sockets_have_none(rules, tmp):
    d = rules(allow=["10.0.0.0/8"], listen=["127.0.0.1:0", f"{tmp}/socket"])
    talk(*d.clients(2, to=f"{tmp}/socket"))
    stays_out(d, "127.0.0.1")


def test_a_refused_client_hears_nothing_of_the_chat_and_is_not_heard(rules):
    d = rules(deny=["127.0.0.2"])
    a, b = d.clients(2)
    stranger = d.client(source="127.0.0.2", wait=False)
    try:
        stranger.send(b"let me in\n" * 10)
    except (ConnectionResetError, BrokenPipeError):
        pass
    a.send(b"not for strangers\n")
    b.expect(b"not for strangers\n")
    assert stranger.read_to_end() == DENIED
    talk(a, b)


def test_a_reload_checks_those_already_inside(start):
    d = start()
    a, b = d.clients(2)
    out = d.clients(2, source="127.0.0.2")
    d.configure(more='deny = [ "127.0.0.2" ];')
    d.reload()
    for client in out:
        assert client.read_to_end() in (b"", DENIED)
        d.stderr.wait_for(re.escape(client.name) + r" removed: address not allowed\n")
    talk(a, b)
    stays_out(d, "127.0.0.2")
    d.configure(more='allow = [ "127.0.0.2" ];')
    d.reload()
    for client in (a, b):
        assert client.read_to_end() in (b"", DENIED)
    talk(*d.clients(2, source="127.0.0.2"))
    stays_out(d, "127.0.0.1")
    d.configure()
    d.reload()
    comes_in(d, "127.0.0.1", "127.0.0.2", "127.0.0.3")


def test_what_a_removed_client_said_before_the_reload_is_still_heard(start):
    d = start()
    stranger, b = d.client(source="127.0.0.2"), d.client()
    stranger.send(b"one last thing\n")
    b.expect(b"one last thing\n")
    d.configure(more='deny = [ "127.0.0.2" ];')
    d.reload()
    stranger.read_to_end()
    talk(b, d.client())


def test_many_rules_work(rules):
    networks = [f"127.{n % 200}.{n // 200}.0/25" for n in range(2000)]
    d = rules(allow=networks)
    comes_in(d, "127.0.0.1", "127.199.9.127", "127.100.5.7")
    stays_out(d, "127.0.0.128", "127.200.0.1", "127.199.10.1")
