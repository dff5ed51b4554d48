"""mode = "chat": people know who speaks, nobody can fake it, and nothing chatters."""

import os
import random
import re
import subprocess
import time

import pytest

from chatd import PATIENCE, SANITIZED, exchange, push

CHAT = 'mode = "chat";'
HELP = b"* /name NAME: your name   /who: who is here   /quit: leave   //...: say /...\n"
IMPOSSIBLE = b"* a name is a letter and up to 14 letters, digits, - and _\n"
LINES_AGAIN = b"* names end here: from now on lines go out as they come in\n"
ANSWERS = 16384  # bytes that may wait for who still gets answers
NOTICE = 1024
PAUSE = 2  # seconds of comings and goings in one line
BURST = 8192


def welcome(client, *others):
    """What a newcomer reads; others: who else is here, by their descriptors."""
    everybody = sorted([(client.sd, f"guest{client.sd}"), *((c.sd, n) for c, n in others)])
    here = " ".join(name for _, name in everybody)
    return (f"* welcome, guest{client.sd}; /name NAME gives you a name, /help tells more\n"
            f"* here: {here}\n").encode()


def join(chatd, name=None, history=b""):
    """A new client that has read its welcome, and has its name."""
    client = chatd.client()
    client.expect(b"* welcome, guest%d; /name NAME gives you a name, /help tells more\n"
                  % client.sd)
    assert client.line().startswith(b"* here: ")
    client.expect(history)
    if name:
        client.send(b"/name %s\n" % name)
        client.expect(b"* you are %s\n" % name)
    return client


def talkers(chatd, *names):
    """Named clients that all have read that everybody came."""
    clients = [join(chatd, name) for name in names]
    for client in clients:
        wanted = set(names)
        while wanted:
            line = client.line()
            assert line.startswith(b"* came: "), line
            wanted -= set(line[8:-1].split(b", "))
    return clients


def script(chatd, text):
    """What `printf TEXT | nc -N` does."""
    return subprocess.run(["nc", "-N", *map(str, chatd.address)], input=text,
                          stdout=subprocess.PIPE, timeout=30, check=True).stdout


# --- what people see

def test_a_conversation(start):
    chatd = start(more=CHAT)
    alice = join(chatd, b"alice")
    alice.expect(b"* came: alice\n")
    bob = chatd.client()
    bob.expect(welcome(bob, (alice, "alice")))
    bob.send(b"/name Alice\n")
    bob.expect(b"* Alice is taken\n")
    bob.send(b"/name bob\n")
    bob.expect(b"* you are bob\n* came: bob\n")
    alice.expect(b"* came: bob\n")
    alice.send(b"Is the build green?\r\n")
    bob.expect(b"alice: Is the build green?\n")
    bob.send(b"alice: yes, for an hour now\n")
    alice.expect(b"bob: alice: yes, for an hour now\n")
    sd = chatd.client()
    sd.send(b"backup of db1 is done\n")
    sd.close()
    for client in alice, bob:
        client.expect(b"guest%d: backup of db1 is done\n" % sd.sd)
    script(chatd, b"/name backup\nof db2, too\n//etc/passwd changed\n")
    for client in alice, bob:
        client.expect(b"backup: of db2, too\nbackup: /etc/passwd changed\n")
    bob.send(b"/who\n/tmp is full\n/etc/hosts\n/quit\n")
    bob.expect(b"* here: alice bob\n" + HELP)
    alice.expect(b"bob: /etc/hosts\n* left: bob\n")
    bob.expect(b"chatd: goodbye\n")
    bob.expect_eof()


def test_mode_lines_is_the_default_and_changes_nothing(start):
    chatd = start()
    a, b = chatd.clients(2)
    text = b"/name x\n\r\n/who\n\ra\rb\n\xff\xf4GET / HTTP/1.1\n* left: b\n"
    a.send(text)
    b.expect(text)
    b.send(b"x\n")
    a.expect(b"x\n")


# --- the grammar

@pytest.mark.parametrize("said, heard, answer", [
    (b"plain", b"plain", b""),
    (b"", b"", b""),
    (b"\r", b"", b""),
    (b"\r\r", b"?", b""),
    (b"a\rb\r\r", b"a?b?", b""),
    (b" ", b" ", b""),
    (b"/", b"/", b""),
    (b"//", b"/", b""),
    (b"///", b"//", b""),
    (b"//who", b"/who", b""),
    (b"/etc/passwd", b"/etc/passwd", b""),
    (b"/who?", b"/who?", b""),
    (b"/w1", b"/w1", b""),
    (b" /who", b" /who", b""),
    (b"/ who", b"/ who", b""),
    (b"/help", b"", HELP),
    (b"/me dances", b"", HELP),
    (b"/WHO", b"", HELP),
    (b"/help \t ", b"", HELP),
    (b"/name", b"", IMPOSSIBLE),
    (b"/name ", b"", IMPOSSIBLE),
    (b"/name a b", b"", IMPOSSIBLE),
    (b"/name 1a", b"", IMPOSSIBLE),
    (b"/name a:", b"", IMPOSSIBLE),
    (b"/name *", b"", IMPOSSIBLE),
    ("/name älice".encode(), b"", IMPOSSIBLE),
    (b"/name sixteen-letters-", b"", IMPOSSIBLE),
    (b"/name fifteen_letterz", b"", b"* you are fifteen_letterz\n"),
    (b"/name fifteen_letters1", b"", IMPOSSIBLE),
    (b"/name   al-1_ce \t", b"", b"* you are al-1_ce\n"),
    (b"/name al-1_ce\r", b"", b"* you are al-1_ce\n"),
    (b"/name chatd", b"", b"* chatd is reserved\n"),
    (b"/name CHATD", b"", b"* CHATD is reserved\n"),
    (b"/name chatd2", b"", b"* you are chatd2\n"),
    (b"/name Guesthouse", b"", b"* Guesthouse is reserved\n"),
    (b"/name gues", b"", b"* you are gues\n"),
    (b"* left: bob", b"* left: bob", b""),
    (b"\x1b[2J\x07\0", b"?[2J??", b""),
    ("\u202ealice\u2066\u2028".encode(), b"???alice??????", b""),
    (b"\x80\xff!", b"??!", b""),
    ("grüße \U0001f642".encode(), "grüße \U0001f642".encode(), b""),
    (b"\xff\xfd\x03wi\xff\xf4ll", b"will", b"\xff\xfc\x03"),
])
def test_a_line_is_text_or_a_command(start, said, heard, answer):
    chatd = start(more=CHAT)
    speaker, hearer = join(chatd), join(chatd)
    speaker.send(said + b"\nend\n")
    prefix = b"guest%d: " % speaker.sd
    if answer.startswith(b"* you are "):
        prefix = answer[len("* you are "):-1] + b": "
    hearer.expect((prefix + heard + b"\n" if heard else b"") + prefix + b"end\n")
    speaker.send(b"/who\n")
    speaker.expect(answer)
    assert speaker.line().startswith(b"* here: ")


def test_a_line_torn_anywhere_means_the_same(start):
    chatd = start(more=CHAT)
    speaker, hearer = join(chatd), join(chatd)
    text = b"/na\xff\xfd\x06me x\n//a\r\nb\r\n/who\nc\rd\n"
    for byte in text:
        push(speaker, bytes([byte]), quiet=0)
        time.sleep(0)
    hearer.expect(b"x: /a\nx: b\nx: c?d\n")


def test_the_last_line_needs_no_end(start):
    chatd = start(more=CHAT)
    hearer = join(chatd)
    assert script(chatd, b"/name cron\ndone").endswith(b"* you are cron\n")
    hearer.expect(b"cron: done\n")


def test_no_bytes_fake_a_line(start):
    """Whatever is sent, each line bears its speaker's name and is clean UTF-8."""
    seed = int(os.environ.get("CHATD_SEED", random.randrange(1 << 30)))
    print(f"CHATD_SEED={seed}")
    rng = random.Random(seed)
    chatd = start(more=CHAT)
    speaker, hearer = join(chatd), join(chatd)
    speaker.send(b"text\n")
    pieces = [b"\n", b"\r", b"\r\n", b"*", b": ", b"alice: ", b"\x1b[A", b"\xff", b"\xff\xfa",
              b"\xff\xf0", b"\xe2\x80\xae", b"\xc2\x85", b"/", b"/who", b"/me ", b" ", b"x",
              "ä".encode(), b"\0", b" HTTP/1.1"]
    for _ in range(200):
        speaker.send(b"".join(rng.choices(pieces, k=rng.randrange(1, 60))))
    speaker.send(b"." * 100 + b"\nthe end\n")  # longer than a telnet command that has begun
    allowed = re.compile(r"guest%d: [^\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+\n"
                         % speaker.sd)
    while (line := hearer.line()) != b"guest%d: the end\n" % speaker.sd:
        assert allowed.fullmatch(line.decode()), line


# --- names

def test_a_name_is_free_when_its_owner_goes(start):
    chatd = start(more=CHAT)
    alice, bob = join(chatd, b"alice"), join(chatd)
    bob.send(b"/name ALICE\n")
    bob.expect(b"* ALICE is taken\n")
    alice.close()
    chatd.stderr.wait_for("alice .* disconnected")
    bob.send(b"/name ALICE\n")
    bob.expect(b"* you are ALICE\n")


def test_a_second_change_has_to_wait(start):
    chatd = start(more=CHAT)
    alice = join(chatd, b"alice")
    alice.send(b"/name alice\n/name Alice\n/name bob\n")
    alice.expect(b"* you are alice\n* not so soon\n* not so soon\n")


def test_of_many_who_want_a_name_at_once_one_gets_it(start):
    chatd = start(more=CHAT)
    clients = [join(chatd) for _ in range(20)]
    chatd.pause()
    for number, client in enumerate(clients):
        client.send(b"/name %s\n" % (b"Alice" if number % 2 else b"alice"))
    chatd.resume()
    answers = [client.line() for client in clients]
    assert sum(b"you are" in answer for answer in answers) == 1
    assert sum(b"is taken" in answer for answer in answers) == 19


def test_a_change_of_name_is_told_in_its_place(start):
    chatd = start(more=CHAT)
    alice, bob = talkers(chatd, b"alice", b"bob")
    time.sleep(10.1)  # what a person has to wait: a name holds so long
    alice.send(b"before\n/name Alicia\nafter\n")
    bob.expect(b"alice: before\n* alice is now Alicia\nAlicia: after\n")
    alice.expect(b"* you are Alicia\n")


def test_the_log_knows_names(start):
    chatd = start(more=CHAT)
    alice = join(chatd, b"alice")
    chatd.stderr.wait_for(rf"^{alice.name} on sd {alice.sd} is now alice$")
    alice.close()
    chatd.stderr.wait_for(
        rf"^alice \({alice.name}\) disconnected from sd {alice.sd}: closed by the client$")


# --- notices

def test_a_crowd_that_comes_makes_one_line(start):
    chatd = start(more=CHAT + "limits = { clients = 600; };")
    watcher = join(chatd)
    clients = chatd.clients(500)
    chatd.pause()
    for number, client in enumerate(clients):
        client.send(b"/name n%d\n" % number)
    chatd.resume()
    line = watcher.line()
    assert line.startswith(b"* came: n0, n1, ")
    found = re.fullmatch(rb"\* came: ((?:n\d+, )*n\d+) and (\d+) more\n", line)
    assert len(found[1].split(b", ")) + int(found[2]) == 500
    assert NOTICE - 60 < len(line) <= NOTICE
    for client in clients:
        client.close()
    line = watcher.line()
    found = re.fullmatch(rb"\* left: ((?:n\d+, )*n\d+) and (\d+) more\n", line)
    assert len(found[1].split(b", ")) + int(found[2]) == 500
    watcher.send(b"/who\n")
    watcher.expect(b"* here: guest%d\n" % watcher.sd)


def test_who_leaves_at_once_is_never_mentioned(start):
    chatd = start(more=CHAT)
    watcher = join(chatd)
    for number in range(20):
        script(chatd, b"/name cron%d\nline %d\n" % (number, number))
    last = join(chatd, b"last")
    lines = [b"cron%d: line %d\n" % (n, n) for n in range(20)]
    watcher.expect(b"".join(lines))
    watcher.expect(b"* came: last\n")
    last.expect(b"* came: last\n")


def test_guests_come_and_go_unmentioned(start):
    chatd = start(more=CHAT)
    watcher = join(chatd)
    for _ in range(5):
        join(chatd).close()
    join(chatd, b"bob")
    watcher.expect(b"* came: bob\n")


# --- answers

def test_the_list_of_a_crowd_is_short(start):
    chatd = start(more=CHAT + "limits = { clients = 600; };")
    clients = chatd.clients(400)
    asker = join(chatd)
    asker.send(b"/who\n")
    found = re.fullmatch(rb"\* here: ((?:guest\d+ )*guest\d+) and (\d+) more\n", line := asker.line())
    assert len(found[1].split(b" ")) + int(found[2]) == 401
    assert NOTICE - 60 < len(line) <= NOTICE
    assert len(clients) == 400


def test_answers_that_nobody_reads_are_dropped(start):
    chatd = start(more=CHAT + "limits = { queue = 65536; };")
    asker, other, hearer = chatd.client(window=4096), join(chatd), join(chatd)
    for _ in range(200):
        asker.send(b"/help\n" * 2700)
        if _ % 50 == 0:
            other.send(b"still here\n")
            hearer.expect(b"guest%d: still here\n" % other.sd)
    assert "holds" not in chatd.stderr.text()
    asker.send(b"the end\n")
    hearer.expect(b"guest%d: the end\n" % asker.sd)


def test_answers_to_one_recv_are_bounded(start):
    chatd = start(more=CHAT)
    asker, hearer = join(chatd), join(chatd)
    chatd.pause()
    asker.send(b"/help\n" * 1000)
    chatd.resume()
    asker.send(b"end\n")
    hearer.expect(b"guest%d: end\n" % asker.sd)
    asker.finish()
    got = asker.read_to_end()
    count, rest = divmod(len(got), len(HELP))
    assert rest == 0 and got == HELP * count
    assert ANSWERS < len(got) <= ANSWERS + len(HELP)


def test_after_reading_there_are_answers_again(start):
    chatd = start(more=CHAT)
    asker = join(chatd)
    for _ in range(5):
        asker.send(b"/help\n" * 100)
        asker.expect(HELP * 100)


# --- a browser, telnet

@pytest.mark.parametrize("request_line, closed", [
    (b"GET / HTTP/1.1\r\n", True),
    (b"POST /x HTTP/1.0\n", True),
    (b"x HTTP/9.9\r\n", True),
    (b" HTTP/1.1\n", True),
    (b"HTTP/1.1\n", False),
    (b"GET / HTTP/1.1 \n", False),
    (b"GET / HTTP/11\n", False),
    (b"GET / http/1.1\n", False),
    (b"GET / HTTP/x.1\n", False),
])
def test_a_web_page_cannot_speak(start, request_line, closed):
    chatd = start(more=CHAT)
    hearer, page = join(chatd), join(chatd)
    page.send(request_line + b"Host: x\r\n\r\n/quit HTTP\n")
    page.expect(b"chatd: this is no web server\n" if closed else b"chatd: goodbye\n")
    page.expect_eof()
    if closed:
        join(chatd).send(b"end\n")
        assert hearer.line().endswith(b": end\n")
    else:
        hearer.expect(b"guest%d: %s\nguest%d: Host: x\n"
                      % (page.sd, request_line.rstrip(b"\r\n"), page.sd))


def test_only_the_first_line_can_be_that_of_a_browser(start):
    chatd = start(more=CHAT)
    hearer, person = join(chatd), join(chatd)
    person.send(b"I typed\nGET / HTTP/1.1\n")
    hearer.expect(b"guest%d: I typed\nguest%d: GET / HTTP/1.1\n" % (person.sd, person.sd))


def test_a_post_by_a_real_client_is_refused(start):
    chatd = start(more=CHAT)
    hearer = join(chatd)
    host, port = chatd.address
    import http.client
    web = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    with pytest.raises((http.client.BadStatusLine, ConnectionError)):
        web.request("POST", "/", body=b"alice: fake\n")
        web.getresponse()
    web.close()
    script(chatd, b"end\n")
    assert hearer.line().endswith(b": end\n")


def test_control_c_in_telnet_does_not_silence_it(start):
    chatd = start(more=CHAT)
    person, other = join(chatd), join(chatd)
    person.send(b"\xff\xf4\xff\xfd\x06")  # what telnet sends at Control-C
    person.expect(b"\xff\xfb\x06")
    other.send(b"hello\n")
    person.expect(b"guest%d: hello\n" % other.sd)


# --- history

def test_a_newcomer_reads_what_was_said(start):
    chatd = start(more=CHAT + 'history = "1K";')
    alice = join(chatd)
    alice.send(b"/who\nfirst\n* second\n\n//third\n")
    alice.line()
    text = b"guest%d: first\nguest%d: * second\nguest%d: /third\n" % ((alice.sd,) * 3)
    late = join(chatd, history=b"* said before you came:\n" + text + b"* now:\n")
    alice.send(b"live\n")
    late.expect(b"guest%d: live\n" % alice.sd)


def test_without_history_there_are_no_marks(start):
    chatd = start(more=CHAT + "history = 100;")
    first, second = join(chatd), join(chatd)
    first.send(b"hello\n")
    second.expect(b"guest%d: hello\n" % first.sd)


@pytest.mark.parametrize("size, kept", [(26, 2), (25, 1), (13, 1), (12, 0), (0, 0)])
def test_history_at_its_bound(start, size, kept):
    """Lines of 13 bytes: whole lines are kept, the last ones."""
    chatd = start(more=CHAT + f"history = {size};")
    alice = join(chatd)
    lines = [b"guest%d: %03d\n" % (alice.sd, number) for number in range(5)]
    assert alice.sd < 10 and len(lines[0]) == 12
    lines = [line[:-1] + b"!\n" for line in lines]
    alice.send(b"".join(line.split(b": ")[1] for line in lines))
    alice.send(b"/who\n")
    alice.line()
    shown = b"".join(lines[5 - kept:])
    late = join(chatd, history=b"* said before you came:\n" + shown + b"* now:\n" if kept else b"")
    alice.send(b"live\n")
    late.expect(b"guest%d: live\n" % alice.sd)


@pytest.mark.parametrize("listener", ["served before those who speak", "served after them"])
def test_each_line_reaches_a_newcomer_once(start, listener):
    """In history or live, whenever it comes."""
    more = CHAT + 'history = "64K";'
    chatd = start(more=more, trace=False)
    alice = join(chatd)
    chatd.configure(listen=("127.0.0.1:0", "127.0.0.2:0"), more=more, trace=False)
    chatd.reload()
    address = chatd.addresses()[listener == "served after them"]
    said = 0
    for _ in range(30):
        chatd.pause()
        late = chatd.client(address, wait=False)
        alice.send(b"%d\n%d\n" % (said, said + 1))
        said += 2
        chatd.resume()
        alice.send(b"%d\n" % said)
        said += 1
        numbers = []
        while not numbers or numbers[-1] != said - 1:
            line = late.line()
            if not line.startswith(b"*"):
                numbers.append(int(line.split(b": ")[1]))
        assert numbers == list(range(said))
        late.close()


# --- limits.rate

@pytest.mark.parametrize("mode", ["", CHAT])
def test_a_paste_arrives_whole_and_in_order_under_a_rate(start, mode):
    chatd = start(more=mode + 'limits = { rate = "32K"; };')
    paster, hearer, other = chatd.clients(3)
    for client in (paster, hearer, other) if mode else ():
        client.lines(2)
    lines = [b"line %d of a paste, as people do it\n" % number for number in range(1000)]
    began = time.monotonic()
    paster.send(b"".join(lines))
    other.send(b"meanwhile\n")
    prefix = {c: b"guest%d: " % c.sd if mode else b"" for c in (paster, other)}
    got, delay = [], None
    while len(got) < len(lines):
        line = hearer.line()
        if line == prefix[other] + b"meanwhile\n":
            delay = len(got)
        else:
            got.append(line)
    took = time.monotonic() - began
    assert got == [prefix[paster] + line for line in lines]
    cost = sum(len(line) + 64 for line in lines) - BURST
    assert cost / 32768 - 0.5 < took < cost / 32768 * 2 + 5
    assert delay is not None and delay < len(lines) * 2 // 3  # it did not wait for the paste
    assert chatd.cpu() < 1 or SANITIZED


def test_who_speaks_slower_than_the_rate_never_waits(start):
    chatd = start(more='limits = { rate = "64K"; };')
    a, b = chatd.clients(2)
    for number in range(100):
        a.send(b"%d\n" % number)
        b.expect(b"%d\n" % number)


def test_what_waits_for_a_rate_is_heard_at_the_end(start):
    chatd = start(more="limits = { rate = 1; };")
    a, b = chatd.clients(2)
    lines = b"".join(b"%d\n" % number for number in range(2000))
    a.send(lines)
    chatd.stdout.wait_for(r"bytes received")
    chatd.signal(15)
    b.expect(lines + b"chatd: the server ends\n")
    b.expect_eof()
    assert chatd.wait() == 0


def test_a_reload_without_a_rate_ends_every_rest(start):
    chatd = start(more="limits = { rate = 1; };")
    a, b = chatd.clients(2)
    lines = b"".join(b"%d\n" % number for number in range(2000))
    a.send(lines)
    chatd.stdout.wait_for(r"bytes received")
    chatd.configure()
    chatd.reload()
    b.expect(lines)


# --- a reload

def test_a_reload_names_those_inside_and_takes_names_away(start):
    chatd = start()
    a, b = chatd.clients(2)
    a.send(b"half a ")
    chatd.stdout.wait_for("bytes received")
    chatd.configure(more=CHAT + "history = 100;")
    chatd.reload()
    a.expect(welcome(a, (b, f"guest{b.sd}")))
    b.expect(welcome(b, (a, f"guest{a.sd}")))
    a.send(b"line\n/name alice\nx\n")
    b.expect(b"guest%d: half a line\nalice: x\n" % a.sd)
    a.expect(b"* you are alice\n* came: alice\n")
    b.expect(b"* came: alice\n")
    chatd.configure(more=CHAT + "history = 1000;")
    chatd.reload()
    late = join(chatd, history=b"* said before you came:\nguest%d: half a line\nalice: x\n* now:\n"
                % a.sd)
    chatd.configure()
    chatd.reload()
    for client in a, b, late:
        client.expect(LINES_AGAIN)
    a.send(b"/name bare\n")
    b.expect(b"/name bare\n")
    chatd.configure(more=CHAT)
    chatd.reload()
    b.expect(welcome(b, (a, f"guest{a.sd}"), (late, f"guest{late.sd}")))


def test_reloads_between_the_modes_lose_nothing_of_a_flood(start):
    chatd = start(trace=False)
    speakers, hearer = chatd.clients(3), chatd.client()
    number = [0] * len(speakers)
    wanted = [0] * len(speakers)
    for round_ in range(10):
        for _ in range(5):
            for who, speaker in enumerate(speakers):
                text = b"".join(b"=%d %d\n" % (who, number[who] + i) for i in range(300))
                number[who] += 300
                speaker.send(text)
        chatd.configure(more="" if round_ % 2 else CHAT, trace=False)
        chatd.reload()
    for speaker in speakers:
        speaker.send(b"=end\n")
    ends = 0
    while ends < len(speakers):
        line = hearer.line()
        found = re.fullmatch(rb"(?:guest\d+: )?=(\d) (\d+)\n", line)
        if found:
            who = int(found[1])
            assert int(found[2]) == wanted[who], line
            wanted[who] += 1
        elif line.endswith(b"=end\n"):
            ends += 1
        else:
            assert line.startswith(b"* "), line
    assert wanted == number


# --- pressure

def test_a_slow_reader_gets_all_of_a_flood_with_names(start):
    chatd = start(more=CHAT + "limits = { queue = 65536; };", trace=False)
    fast, slow, speaker = join(chatd), chatd.client(window=4096), join(chatd, b"alice")
    slow.lines(2)
    text = b"".join(b"%d\n" % number for number in range(20000))
    shown = b"".join(b"alice: %d\n" % number for number in range(20000))
    got = exchange({speaker: text}, {fast: len(shown), slow: len(shown)})
    for client in fast, slow:
        heard = bytes(got[client])
        rest = heard + client.read(14)
        rest = rest.replace(b"* came: alice\n", b"")
        assert rest[:len(shown) - 20] == shown[:len(shown) - 20]
