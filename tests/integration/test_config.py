"""The settings file: faults are told with file and line, values are checked at their limits."""

import os
import re
import subprocess

import pytest

from chatd import CHATD, run

FAULTY = 78  # EX_CONFIG: what a restart cannot mend


@pytest.fixture
def check(tmp):
    """check(text): what `chatd -t` says of such a file; its name is shortened to FILE."""
    path = f"{tmp}/chatd.conf"

    def check(text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        result = run("-c", path, "-t")
        result.stdout = result.stdout.replace(path, "FILE")
        result.stderr = result.stderr.replace(path, "FILE").replace(tmp, "DIR")
        return result

    return check


@pytest.fixture
def dropin(tmp):
    """dropin(name, text): writes a file into the folder beside the one of `check`."""
    os.mkdir(f"{tmp}/chatd.conf.d")

    def dropin(name, text):
        with open(f"{tmp}/chatd.conf.d/{name}", "w", encoding="utf-8") as file:
            file.write(text)
    return dropin


# Whoever runs the check, it has the packaged service in mind.
LOW_PORT = r"FILE: listen: warning: \S+: a port below 1024 takes CAP_NET_BIND_SERVICE, .+"


def good(result):
    assert (result.returncode, result.stdout, result.stderr) == (0, "FILE: ok\n", "")


def bad(result, *faults):
    """Each fault (a pattern for a whole line), in this order, and no other."""
    assert result.returncode == FAULTY, result
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == len(faults), result.stderr
    for line, fault in zip(lines, faults):
        assert re.fullmatch(fault, line), f"{line!r} is not {fault!r}"


def doubted(result, *warnings):
    """It is in order, but each warning (a pattern for a whole line) is told."""
    assert (result.returncode, result.stdout) == (0, "FILE: ok\n")
    for line, warning in zip(result.stderr.splitlines(), warnings, strict=True):
        assert re.fullmatch(warning, line), f"{line!r} is not {warning!r}"


def test_an_empty_file_is_fine(check):
    good(check(""))
    good(check("# nothing\n/* at all */\n"))


def test_every_setting_may_be_given(check, tmp):
    good(check(f'''
        port = 9034;
        listen = [ "::", "127.0.0.1:9035", "[::1]:9036", "0.0.0.0:0", "{tmp}/socket" ];
        trace = false;
        log_connections = true;
        sanitize = true;
        allow = [ "127.0.0.0/8", "::1", "10.1.2.3" ];
        deny = [ "10.0.0.0/8" ];
        limits = {{
            clients = 10;
            clients_per_address = 2;
            line = 8192;
            queue = "1M";
            stall = 30;
            lag = 60;
            idle = 600;
        }};
        unix = {{ mode = "0660"; owner = "root"; group = "root"; }};
    '''))


def test_the_shipped_file_is_fine_as_it_is_and_with_every_setting_uncommented(check, tmp):
    path = os.path.join(os.path.dirname(__file__), "..", "..", "conf", "chatd.conf")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    good(check(text))
    uncommented = re.sub(r"^(\s*)#\s?(?=(\w+ *= *|[}\]]))", r"\1", text, flags=re.M)
    assert uncommented != text
    # The files of TLS are examples, which only those have who made them.
    bad(check(uncommented.replace("/etc/chatd/", f"{tmp}/none/")),
        r"FILE:\d+: tls\.certificate: DIR/none/cert\.pem: No such file or directory")
    for setting in ("port", "listen", "trace", "log_connections", "sanitize", "allow", "deny",
                    "clients", "clients_per_address", "line", "queue", "stall", "lag", "idle",
                    "mode", "owner", "group"):
        assert re.search(rf"^[\s#]*{setting}\s*=", text, re.M), f"{setting} is not shown"


def test_the_check_opens_no_port(check):
    good(check('listen = [ "192.0.2.77:9034" ];'))


def test_the_check_takes_a_port_too(check, tmp):
    good(check(""))
    assert run("-t", "-c", f"{tmp}/chatd.conf", "9034").returncode == 0
    assert run("-t", "-c", f"{tmp}/chatd.conf", "0").returncode == 1


def test_the_check_of_a_missing_file_fails():
    result = run("-t", "-c", "/nonexistent")
    assert result.returncode == FAULTY and result.stdout == ""
    assert result.stderr == "/nonexistent: No such file or directory\n"


def test_a_syntax_error_has_its_line(check):
    bad(check("trace = true;\n\nport = = 9034;\n"), r"FILE:3: .*syntax error.*")
    bad(check("port = 9034;\nlimits = {\n"), r"FILE:[23]: .*syntax error.*")


def test_an_unknown_setting_is_a_fault(check):
    bad(check("\n\nprot = 9034;\n"), r"FILE:3: prot: unknown setting.*")
    bad(check("limits = {\n  klients = 5;\n};"), r"FILE:2: limits\.klients: unknown setting.*")
    bad(check('unix = {\n\n  mod = "0600";\n};'), r"FILE:3: unix\.mod: unknown setting.*")


@pytest.mark.parametrize("setting, allowed", [
    ('port = "9034"', "65535"),
    ("port = 9034.0", "65535"),
    ("port = true", "65535"),
    ("port = [ 9034 ]", "65535"),
    ("listen = [ 9034 ]", "."),
    ("listen = 1", "."),
    ("trace = 1", "true"),
    ('trace = "yes"', "true"),
    ("log_connections = 0", "true"),
    ('sanitize = "true"', "true"),
    ("allow = true", "."),
    ("allow = [ 10 ]", "."),
    ("deny = { }", "."),
    ("limits = 5", "."),
    ("limits = [ 5 ]", "."),
    ("unix = true", "."),
])
def test_a_wrong_type_is_a_fault_and_the_right_one_is_told(check, setting, allowed):
    name = setting.split()[0]
    bad(check(f"trace = false;\n{setting};\n".replace("trace = false;" if name == "trace" else "\0", "")),
        rf"FILE:2: {name}(\[0\])?: .*{allowed}.*")


@pytest.mark.parametrize("setting", ['limits = {\nclients = "many"; };',
                                     "limits = {\nclients = true; };",
                                     "limits = {\nline = 1.5; };",
                                     "limits = {\nqueue = [ 5 ]; };",
                                     'limits = {\nstall = "soon"; };',
                                     "limits = {\nidle = false; };",
                                     "unix = {\nmode = 432; };",
                                     "unix = {\nowner = true; };"])
def test_a_wrong_type_in_a_group_is_a_fault(check, setting):
    group, name = re.match(r"(\w+) = \{\n(\w+)", setting).groups()
    bad(check(setting), rf"FILE:2: {group}\.{name}: .+, .+")


def privileged_ports():
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        return int(file.read())


@pytest.mark.skipif(privileged_ports() != 1024, reason="this machine has other privileged ports")
@pytest.mark.parametrize("value", [1, 80, 1023])
def test_ports_that_take_a_right_are_doubted(check, value):
    doubted(check(f"port = {value};"), LOW_PORT)
    doubted(check(f'listen = [ "127.0.0.1:{value}", "[::1]:{value}", "127.0.0.1:1024" ];'),
            LOW_PORT, LOW_PORT)


@pytest.mark.parametrize("value", [1024, 65535])
def test_other_ports_within_the_range(check, value):
    good(check(f"port = {value};"))


def test_a_file_that_not_everybody_may_read_is_doubted(check, dropin, tmp):
    dropin("a.conf", "")
    good(check(""))
    for file in ("chatd.conf", "chatd.conf.d/a.conf"):
        os.chmod(f"{tmp}/{file}", 0o640)
    doubted(check(""), r"FILE: warning: not everybody may read it; .+",
            r"FILE\.d/a\.conf: warning: not everybody may read it; .+")


@pytest.mark.parametrize("value", [0, -1, 65536, 4294976330, "9223372036854775807L", -2147483648])
def test_ports_out_of_the_range(check, value):
    bad(check(f"port = {value};"), r"FILE:1: port: .*1 to 65535.*")


# Smallest and largest value that each limit takes.
LIMITS = {
    "clients": (1, None),
    "clients_per_address": (0, None),
    "line": (None, None),
    "queue": (None, None),
    "stall": (1, None),
    "lag": (0, 86400),
    "idle": (0, None),
}


def allowed_range(check, name):
    """The range that the message tells, such as `1 to 1000000`."""
    result = check(f"limits = {{ {name} = -1; }};")
    lowest, highest = re.search(r"(\d+) to (\d+)", result.stderr).groups()
    return int(lowest), int(highest)


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_takes_the_ends_of_its_range_and_not_one_past(check, name):
    lowest, highest = allowed_range(check, name)
    if LIMITS[name][0] is not None:
        assert lowest == LIMITS[name][0]
    if LIMITS[name][1] is not None:
        assert highest == LIMITS[name][1]
    # Checked with the other sizes at their own ends, as they may depend on each other.
    for value in (lowest, highest):
        others = f"queue = {allowed_range(check, 'queue')[1]};" if name == "line" else ""
        good(check(f"limits = {{ {others} {name} = {value}L; }};"))
    for value in (lowest - 1, highest + 1):
        bad(check(f"limits = {{\n\n{name} = {value}L; }};"),
            rf"FILE:3: limits\.{name}: .*{lowest} to {highest}.*")


@pytest.mark.parametrize("value", ['"64K"', '"64k"', "65536", '"65536"', "0x10000", "65536L", '"1M"'])
def test_sizes_are_numbers_or_strings_with_a_unit(check, value):
    good(check(f"limits = {{ line = {value}; }};"))
    good(check(f"limits = {{ queue = {value}; }};"))


@pytest.mark.parametrize("value", ['"64Q"', '""', '"K"', '"64 K K"', '"-64K"', '"64KK"', '"0x40K"',
                                   '"99999999999999999999"', '"18014398509481984K"', '"16E"',
                                   '"64Kx"', "-1", "0", '"0"', '"1.5K"', '"K64"', '"\\x3164"'])
def test_other_strings_are_not_sizes(check, value):
    if value == '"\\x3164"':  # "164": an escape of the format, a number after all
        good(check(f"limits = {{ line = {value}; }};"))
        return
    bad(check(f"limits = {{ line = {value}; }};"), r"FILE:1: limits\.line: .+")


@pytest.mark.parametrize("address", ["", ":", ":9034", "localhost:70000", "127.0.0.1:-1",
                                     "127.0.0.1:65536", "127.0.0.1:x", "300.1.1.1", "[::1", "::1]:80",
                                     "[::1]80", "[::1]:", "127.0.0.1:", "/" + "x" * 108, "127.0.0.1:80 "])
def test_a_bad_listen_address_is_a_fault(check, address):
    bad(check(f'listen = [ "127.0.0.1:0",\n "{address}" ];'), r"FILE:[12]: listen(\[1\])?: .+")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "[::1]:8080", "localhost", "0.0.0.0", "::",
                                     "127.0.0.1:65535", "/" + "x" * 106])
def test_a_good_listen_address_is_none(check, address):
    good(check(f'listen = [ "{address}" ];'))


def test_listening_nowhere_is_a_fault(check):
    bad(check("listen = [ ];"), r"FILE:1: listen: .+")


@pytest.mark.parametrize("mode", ["660", "0660", "0000", "0777", "600"])
def test_good_modes_of_a_unix_socket(check, mode):
    good(check(f'unix = {{ mode = "{mode}"; }};'))


@pytest.mark.parametrize("mode", ["", "888", "0o660", "rw-rw----", "-1", "1777", "10000", "660 "])
def test_bad_modes_of_a_unix_socket(check, mode):
    bad(check(f'unix = {{ mode = "{mode}"; }};'), r"FILE:1: unix\.mode: .+")


def test_an_unknown_owner_or_group_is_a_fault(check):
    bad(check('unix = {\nowner = "no-such-user";\ngroup = "no-such-group"; };'),
        r"FILE:2: unix\.owner: .+", r"FILE:3: unix\.group: .+")


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "10.0.0.0/8", "10.1.2.3/32", "10.1.2.3",
                                     "fe80::/10", "::1/128", "::ffff:10.0.0.0/104", "::1"])
def test_good_networks(check, network):
    good(check(f'allow = [ "{network}" ];'))
    good(check(f'deny = [ "{network}" ];'))


@pytest.mark.parametrize("network", ["", "/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "::/129",
                                     "10.0.0.256", "10.0.0", "10.0.0.0/8/8", "10.0.0.0/a",
                                     "10.0.0.0/08x", "localhost", "1.2.3.4:80", "[::1]", " 10.0.0.1",
                                     "10.0.0.1 ", "10.0.0.0/255.0.0.0", "10.0.0.0/ 8", ":::",
                                     "10.0.0.0/99999999999999999999"])
def test_bad_networks(check, network):
    for setting in ("allow", "deny"):
        bad(check(f'{setting} = [ "127.0.0.1",\n "{network}" ];'), rf"FILE:[12]: {setting}(\[1\])?: .+")


def test_several_faults_are_told_in_one_run_in_the_order_of_the_file(check):
    bad(check('''port = 0;
trace = "no";
colour = "blue";
limits = {
    clients = 0;
    line = "much";
    shape = 4;
};
allow = [ "10.0.0.0/99", "127.0.0.1", "nowhere" ];
'''),
        r"FILE:1: port: .+", r"FILE:2: trace: .+", r"FILE:3: colour: .+",
        r"FILE:5: limits\.clients: .+", r"FILE:6: limits\.line: .+", r"FILE:7: limits\.shape: .+",
        r"FILE:9: allow(\[0\])?: .+", r"FILE:9: allow(\[2\])?: .+")


def test_a_fault_ends_a_start_as_it_ends_the_check(check, tmp):
    checked = check("port = 0;\ntrace = 5;")
    started = run("-c", f"{tmp}/chatd.conf")
    assert started.returncode == FAULTY and started.stdout == ""
    assert started.stderr.replace(f"{tmp}/chatd.conf", "FILE") == checked.stderr


def test_the_same_setting_twice_is_a_fault(check):
    bad(check("port = 9034;\nport = 9035;"), r"FILE:2: port: is there already, in line 1")
    bad(check("limits = {\n  line = 5;\n\n  line = 6;\n};"),
        r"FILE:4: limits\.line: is there already, in line 2")


def in_force(tmp):
    """What -T prints, as {name: value}; those of groups by their own names."""
    result = run("-T", "-c", f"{tmp}/chatd.conf")
    assert (result.returncode, result.stderr) == (0, "")
    return dict(re.findall(r"^\s*(\w+) = (.*?);$", re.sub(r",\n\s*", ", ", result.stdout), re.M))


def test_files_of_the_folder_override_in_the_order_of_their_names(check, dropin, tmp):
    dropin("50-team.conf", "port = 5555; limits = { idle = 50; };")
    dropin("90-host.conf", 'port = 9999; listen = [ "127.0.0.9" ];')
    dropin("10-first.conf", "port = 1; sanitize = true;")
    dropin("99-other.txt", "nonsense")
    dropin(".99-hidden.conf", "nonsense")
    good(check('listen = [ "127.0.0.1", "127.0.0.2" ]; limits = { idle = 5; line = 77; };'))
    settings = in_force(tmp)
    assert settings["port"] == "9999"
    assert settings["listen"] == '[ "127.0.0.9:9999" ]'
    assert settings["sanitize"] == "true"
    assert (settings["idle"], settings["line"]) == ("50", "77")


def test_the_port_counts_for_addresses_of_every_file(check, dropin, tmp):
    dropin("1.conf", "port = 4242;")
    good(check('listen = [ "127.0.0.1", "[::1]:5555" ];'))
    assert in_force(tmp)["listen"] == '[ "127.0.0.1:4242", "[::1]:5555" ]'


def test_faults_of_all_files_are_told_with_their_names(check, dropin):
    dropin("a.conf", "trace = false;\n\nlimits = {\n  clients = 0; };\n")
    dropin("b.conf", "trace = false;\n\n\nlimits = = {\n")
    bad(check("port = 0;\nsanitize = 5;"),
        r"FILE:1: port: .+", r"FILE:2: sanitize: .+",
        r"FILE\.d/a\.conf:4: limits\.clients: .+", r"FILE\.d/b\.conf:4: .*syntax error.*")


def test_what_the_folder_holds_and_cannot_be_read_is_a_fault(check, dropin, tmp):
    dropin("a.conf", "")
    os.mkdir(f"{tmp}/chatd.conf.d/b.conf")
    os.symlink("nowhere", f"{tmp}/chatd.conf.d/c.conf")
    bad(check(""), r"FILE\.d/b\.conf: Is a directory",
        r"FILE\.d/c\.conf: No such file or directory")


def test_an_unreadable_file_is_a_fault_also_for_the_check(check, dropin, tmp):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    dropin("a.conf", "")
    os.chmod(f"{tmp}/chatd.conf.d/a.conf", 0)
    bad(check(""), r"FILE\.d/a\.conf: Permission denied")


def test_a_hundred_files_pass_and_one_more_does_not(check, dropin):
    for n in range(100):
        dropin(f"{n:03}.conf", f"port = {n + 1024};")
    good(check(""))
    dropin("one-more.conf", "")
    bad(check(""), r"FILE\.d: holds too many files named \*\.conf, allowed are 100")


def test_a_folder_that_is_none_is_a_fault(check, tmp):
    with open(f"{tmp}/chatd.conf.d", "w", encoding="utf-8"):
        pass
    bad(check(""), r"FILE\.d: Not a directory")


def test_an_include_is_refused_and_the_folder_is_named(check, tmp):
    bad(check(f'port = 9034;\n@include "{tmp}/more.conf"\n'),
        r"FILE:2: @include is not read; .* FILE\.d, .*")


def test_what_is_printed_is_every_setting_and_in_order_again(check, tmp):
    good(check(f"""
        port = 4242;
        listen = [ "localhost", "[::1]:5555", "{tmp}/socket" ];
        allow = [ "127.0.0.0/8", "10.1.2.3", "fc00::/7" ];
        deny = [ "127.0.0.9" ];
        limits = {{ stall = "5m"; lag = "2h"; queue = "2M"; line = "1K"; }};
        unix = {{ mode = "600"; owner = "root"; }};
    """))
    first = run("-T", "-c", f"{tmp}/chatd.conf")
    assert first.returncode == 0 and first.stderr == ""
    for line in ("port = 4242;", "  stall = 300;", "  lag = 7200;", "  queue = 2097152;",
                 "  line = 1024;", '  mode = "0600";', '  owner = "0";', "trace = true;"):
        assert f"\n{line}\n" in "\n" + first.stdout
    for setting in ("port", "listen", "trace", "log_connections", "sanitize", "allow", "deny",
                    "clients", "clients_per_address", "line", "queue", "stall", "lag", "idle",
                    "mode", "owner"):
        assert re.search(rf"^ *{setting} = ", first.stdout, re.M), setting
    assert "group" not in first.stdout
    good(check(first.stdout))
    assert run("-T", "-c", f"{tmp}/chatd.conf").stdout == first.stdout


def test_printing_tells_faults_like_the_check(check, tmp):
    checked = check("port = 0;")
    printed = run("-T", "-c", f"{tmp}/chatd.conf")
    assert (printed.returncode, printed.stdout) == (FAULTY, "")
    assert printed.stderr.replace(f"{tmp}/chatd.conf", "FILE") == checked.stderr


def test_the_port_of_the_command_line_is_printed(check, tmp):
    good(check('port = 1111; listen = "127.0.0.1";'))
    assert 'listen = [ "127.0.0.1:4242" ];\n' in run("-T", "-c", f"{tmp}/chatd.conf", "4242").stdout


def test_settings_into_a_full_disk_fail(check, tmp):
    good(check(""))
    with open("/dev/full", "wb") as full:
        done = subprocess.run([CHATD, "-T", "-c", f"{tmp}/chatd.conf"], stdout=full,
                              stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1 and b"No space left on device" in done.stderr


@pytest.mark.parametrize("time, seconds", [("30", 30), ('"30s"', 30), ('"5m"', 300), ('"2h"', 7200)])
def test_times_bear_a_unit(check, tmp, time, seconds):
    good(check(f"limits = {{ stall = {time}; lag = {time}; idle = {time}; }};"))
    settings = in_force(tmp)
    assert {settings[name] for name in ("stall", "lag", "idle")} == {str(seconds)}


@pytest.mark.parametrize("time", ['"5d"', '"5M"', '""', '"m"', '"-5s"', '"25h"', '"1h30m"'])
def test_other_strings_are_no_times(check, time):
    bad(check(f"limits = {{\nstall = {time}; }};"), r"FILE:2: limits\.stall: .+")


@pytest.mark.parametrize("word", ["on", "yes", "off", "no"])
def test_a_word_that_is_no_truth_value_is_told_which_are(check, word):
    bad(check(f"port = 9034;\ntrace = {word};\n"), rf"FILE:2: trace: {word} is no value, .*true, false.*")


def test_a_byte_order_mark_is_passed_over(check):
    good(check("\ufeffport = 9034;\n"))


@pytest.mark.parametrize("listen", ['"0.0.0.0", "127.0.0.1"', '"127.0.0.1", "0.0.0.0"', '"::", "::1"',
                                    '"::", "0.0.0.0", "::1"', '"localhost", "::"'])
def test_addresses_of_which_one_holds_the_other_are_a_fault(check, listen):
    bad(check(f"\nlisten = [ {listen} ];"), r"FILE:2: listen: \S+ is one of the addresses of \S+, .+")


@pytest.mark.parametrize("listen", ['"::", "0.0.0.0"', '"::", "127.0.0.1"', '"0.0.0.0:1111", "127.0.0.1:2222"',
                                    '"0.0.0.0:0", "127.0.0.1:0"'])
def test_other_addresses_stand_beside_each_other(check, listen):
    good(check(f"listen = [ {listen} ];"))


@pytest.mark.parametrize("address, fault", [
    ("fe80::1", r"fe80::1%eth0"), ("[fe80::1]:9034", r"fe80::1%eth0"),
    ("fe80::1%nope0", r"no such interface"), ("[fe80::1%nope0]:80", r"no such interface"),
    ("fe80::1%99999", r"no such interface"), ("224.0.0.1", "multicast"), ("ff02::1%lo", "multicast"),
    ("/run/chatd/", "folder")])
def test_an_address_that_bind_would_refuse_is_a_fault(check, address, fault):
    bad(check(f'listen = [ "{address}" ];'), rf"FILE:1: listen: .*{fault}.*")


@pytest.mark.parametrize("setting", ["allow", "deny"])
def test_an_interface_that_is_not_there_is_called_that(check, setting):
    bad(check(f'{setting} = [ "fe80::%nope0/10" ];'), rf"FILE:1: {setting}: .*: no such interface")


def test_an_address_that_looks_like_one_with_a_port_is_doubted(check):
    doubted(check('listen = [ "::1:9034" ];'), r'FILE:1: listen: warning: .*"\[::1\]:9034"')


def test_bits_past_a_prefix_are_doubted(check):
    doubted(check('allow = [ "10.0.0.1/8" ];'), r"FILE:1: allow: warning: .*10\.0\.0\.0/8")


def test_a_pipe_is_refused_with_the_reason(tmp):
    os.mkfifo(f"{tmp}/pipe")
    for result in (run("-t", "-c", f"{tmp}/pipe"),
                   run("-c", "DUMMY", under=["bash", "-c", '"$1" -t -c <(echo "port = 1;")', "sh"])):
        assert (result.returncode, result.stdout) == (FAULTY, "")
        assert re.fullmatch(r"\S+: is a pipe, allowed is a file, .*\n", result.stderr)


def test_a_file_that_the_caller_has_open_is_read(tmp, start):
    """Descriptors that chatd was given are closed, but not before."""
    with open(f"{tmp}/settings", "w", encoding="utf-8") as file:
        file.write('listen = "127.0.0.1:0";\n')
    d = start(args=["-c", "/dev/fd/7"], under=["bash", "-c", f'exec "$@" 7<{tmp}/settings', "sh"])
    assert set(d.fds()) == {0, 1, 2, 3}


def test_sixty_thousand_addresses_are_checked_by_sorting(tmp):
    """One by one beside each other this would take more CPU time than is allowed here."""
    listen = ", ".join(f'"10.{n // 250}.{n % 250}.1"' for n in range(60000))
    with open(f"{tmp}/conf", "w", encoding="utf-8") as file:
        file.write(f"listen = [ {listen} ];\n")
    result = run("-t", "-c", f"{tmp}/conf", under=["sh", "-c", 'ulimit -t 10; exec "$@"', "sh"])
    assert (result.returncode, result.stderr) == (0, "")


def test_a_file_of_noise_is_a_fault_and_no_crash(check, tmp):
    for noise in (b"\0" * 100, bytes(range(256)), b"{" * 10000, b"(" * 10000, b'"' * 3, b"\xff\xfe"):
        with open(f"{tmp}/noise", "wb") as file:
            file.write(noise)
        result = run("-t", "-c", f"{tmp}/noise")
        assert result.returncode == FAULTY and result.stdout == "", noise[:20]
        assert re.match(rf"{tmp}/noise(:\d+)?: .+", result.stderr), noise[:20]
