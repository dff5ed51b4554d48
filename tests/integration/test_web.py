"""examples/web in a real browser, with websockify between it and chatd.

CHATD_SCREENSHOTS=DIR keeps pictures of the page there.
"""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import pytest

import browser as chromium
from browser import PATIENCE
from chatd import free_port, reachable, wait_until

WEB = pathlib.Path(__file__).parents[2] / "examples" / "web"

if not chromium.chromium():
    pytest.skip("chromium is missing", allow_module_level=True)
if not shutil.which("websockify"):
    pytest.skip("websockify is missing", allow_module_level=True)


@pytest.fixture(scope="module")
def program():
    directory = tempfile.mkdtemp(prefix="chatd-browser-")
    running = chromium.Browser(directory)
    yield running
    running.close()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def browser(program):
    """Its pages end with the test; else each would go on to look for its server."""
    yield program
    program.close_pages()


@pytest.fixture
def web():
    """web(port) serves the page and carries to this port, by the command of the unit. Returns where."""
    running = []

    def begin(target):
        unit = (WEB / "chatd-web.service").read_text()
        command = unit.split("ExecStart=")[1].split("\nRestart=")[0].replace("\\\n", "")
        port = free_port()
        for text, own in (("/srv/chatd-web", str(WEB / "page")),
                          ("127.0.0.1:9034", f"127.0.0.1:{target}"), (":8080", f":{port}")):
            assert text in command
            command = command.replace(text, own)
        running.append(subprocess.Popen(
            ["sh", "-c", f"exec {command}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True))
        wait_until(lambda: reachable(port), PATIENCE)
        return f"http://127.0.0.1:{port}/"

    yield begin
    for process in running:
        os.killpg(process.pid, 15)
        process.wait(PATIENCE)


class Server:
    """Speaks as chatd does, but in the pieces that the test wants."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.port = self.listener.getsockname()[1]
        self.client = None

    def accept(self):
        self.client, _ = self.listener.accept()
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client.settimeout(PATIENCE)

    def says(self, data):
        self.client.sendall(data)

    def hears(self, data):
        got = b""
        while len(got) < len(data) and (piece := self.client.recv(len(data) - len(got))):
            got += piece
        assert got == data

    def close(self):
        if self.client:
            self.client.close()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()
    made.listener.close()


WELCOME = b"* welcome, guest5; /name NAME gives you a name, /help tells more\n* here: alice guest5\n"


@pytest.fixture
def page(browser, web, server):
    """A page that is connected to the server of the test."""
    opened = browser.open(web(server.port))
    server.accept()
    server.says(WELCOME)
    opened.wait_for_state("connected")
    return opened


def chat(start, **more):
    return start(listen=[f"127.0.0.1:{free_port()}"], more='mode = "chat"; history = "4K";', **more)


def picture(page, name):
    folder = os.environ.get("CHATD_SCREENSHOTS")
    if folder:
        page.screenshot(os.path.join(folder, name))


def people(page):
    return page.evaluate("[...document.querySelectorAll('#names li')].map((li) => li.textContent)")


def until(client, wanted):
    while (line := client.line()) != wanted:
        assert line, f"{wanted} did not come"


def nc(chatd, text):
    subprocess.run(["nc", "-N", "127.0.0.1", str(chatd.port)], input=text, check=True,
                   stdout=subprocess.DEVNULL, timeout=PATIENCE)


def test_two_browsers_and_nc_in_one_chat(start, browser, web):
    chatd = chat(start)
    address = web(chatd.port)
    anna, ben = browser.open(address), browser.open(address)
    for page, name in ((anna, "anna"), (ben, "ben")):
        page.wait_for_state("connected")
        page.type(f"/name {name}\n")
        page.wait_for_line(f"* you are {name}")
    anna.wait_for("document.querySelectorAll('#names li').length === 2")
    ben.wait_for("document.querySelectorAll('#names li').length === 2")
    assert people(anna) == ["anna (you)", "ben"] and people(ben) == ["anna", "ben (you)"]

    anna.type("Grüße, ben 👋\n")
    ben.wait_for_line("anna: Grüße, ben 👋")
    anna.wait_for_line("anna: Grüße, ben 👋")  # chatd sends nobody what he said
    nc(chatd, "/name backup\nof db1 is done\n".encode())
    for page in (anna, ben):
        page.wait_for_line("backup: of db1 is done")
    ben.type("//etc is text, /tmp too\n/tmp is text\n")
    anna.wait_for_line("ben: /etc is text, /tmp too")
    picture(anna, "wide.png")

    # A name that changes, and somebody who leaves.
    plain = chatd.client()
    plain.send(b"/name carol\n")
    anna.wait_for("document.getElementById('names').textContent.includes('carol')")
    plain.close()
    anna.wait_for_line("* left: carol")
    assert people(anna) == ["anna (you)", "ben"]
    ben.type("/quit\n")
    ben.wait_for_state("left")
    anna.wait_for_line("* left: ben")


def test_what_people_write_is_never_markup(start, browser, web):
    chatd = chat(start)
    page = browser.open(web(chatd.port))
    page.wait_for_state("connected")
    texts = ["<img src=x onerror=alert(1)>", "</span><script>hit = 1</script>", "&lt;b&gt; &amp;",
             "<style>*{display:none}</style>", "javascript:hit=1", '"><svg onload=hit=1>']
    nc(chatd, ("/name eve\n" + "\n".join(texts) + "\n").encode())
    for text in texts:
        page.wait_for_line(f"eve: {text}")
    page.type("<b>mine</b>\n")
    page.wait_for("log.lastElementChild.textContent.endsWith(': <b>mine</b>')")
    assert page.evaluate("document.querySelectorAll('#log :not(div, time, b, span)').length") == 0
    assert page.evaluate("typeof hit") == "undefined"


def test_nothing_foreign_runs_in_the_page(page):
    blocked = page.evaluate("""new Promise((done) => {
        document.addEventListener('securitypolicyviolation', (e) => done(e.effectiveDirective));
        const script = document.createElement('script');
        script.textContent = 'hit = 1';
        document.body.append(script);
    })""")
    assert blocked.startswith("script-src")
    assert page.evaluate("typeof hit") == "undefined"


def test_a_page_of_another_site_cannot_join(web, server):
    port = int(web(server.port).rsplit(":", 1)[1].strip("/"))
    for origin, status in ((f"http://127.0.0.1:{port}", b"101"), ("http://evil.example", b"403")):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as s:
            s.sendall(b"GET /websockify HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                      b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                      b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                      b"Origin: %s\r\n\r\n" % origin.encode())
            assert s.recv(100).split()[1] == status


def test_it_comes_back_after_the_server_was_started_again(start, browser, web):
    chatd = chat(start)
    page = browser.open(web(chatd.port))
    page.wait_for_state("connected")
    page.type("/name anna\n")
    page.wait_for_line("* you are anna")
    page.type("half a li")
    chatd.stop()
    page.wait_for_line("chatd: the server ends")
    page.wait_for_state("lost")
    page.type("ne\n")
    page.wait_for_line("Not connected: what you wrote is still there.")
    picture(page, "lost.png")
    chatd.start()
    page.wait_for_state("connected")
    page.wait_for_line("* you are anna", 2)  # its name is taken again
    reader = chatd.client()
    page.type("\n")
    until(reader, b"anna: half a line\n")


def test_a_server_that_is_not_there(browser, web, daemon):
    port = free_port()
    page = browser.open(web(port))
    page.wait_for_state("lost")
    assert "trying again" in page.text() and page.lines() == []
    daemon(listen=[f"127.0.0.1:{port}"], more='mode = "chat";').start()
    page.evaluate("document.getElementById('again').click()")
    page.wait_for_state("connected")


def test_a_server_that_refuses_is_asked_less_and_less_often(page, server):
    for _ in range(3):
        server.client.close()
        server.accept()
        server.says(b"chatd: too many clients\n")
        page.wait_for_line("chatd: too many clients")
    assert page.evaluate("tries") >= 2
    assert page.evaluate("document.getElementById('state').dataset.state") == "lost"


def test_mode_lines_has_no_names(start, browser, web):
    chatd = start()
    page = browser.open(web(chatd.port))
    page.wait_for_state("connected")
    other = chatd.client()
    other.send(b"bob: hello\n* a line\n")
    page.wait_for_line("bob: hello")
    page.wait_for_line("* a line")
    page.type("/name anna\n")
    other.expect(b"/name anna\n")
    page.wait_for_line("/name anna")
    assert not page.evaluate("document.querySelector('#log b, #log .notice')")
    assert page.evaluate("document.getElementById('people').hidden")

    # Nobody can make it take a name, which all would hear, by what only chatd says elsewhere.
    page.evaluate("remember('anna')")
    other.send(b"* welcome, guest7; /name NAME gives you a name, /help tells more\n")
    page.wait_for_line("* welcome, guest7; /name NAME gives you a name, /help tells more")
    page.type("done\n")
    other.expect(b"done\n")


def test_unread_lines_are_counted_while_nobody_looks(page, server):
    page.cover()
    page.wait_for("document.hidden")
    server.says(b"alice: one\n* came: bob\nbob: two\nalice: three\n")
    page.wait_for("document.title === '(3) Chat'")
    page.uncover()
    page.wait_for("document.title === 'Chat'")
    server.says(b"alice: four\n")
    page.wait_for_line("alice: four")
    assert page.evaluate("document.title") == "Chat"


def test_names_come_and_go(page, server):
    assert people(page) == ["alice", "guest5 (you)"]
    server.says(b"* came: Bob, carol\n* alice is now zoe\n* left: carol and 2 more\n"
                b"* you are anna\n* here: zoe Bob guest7 anna and 3 more\n")
    page.wait_for_line("* here: zoe Bob guest7 anna and 3 more")
    assert people(page) == ["anna (you)", "Bob", "zoe"]
    assert page.evaluate("document.getElementById('me').textContent") == "anna"
    # Nobody can say a notice.
    server.says(b"bob: * left: zoe\nbob: chatd: the server ends\n")
    page.wait_for_line("bob: chatd: the server ends")
    assert people(page) == ["anna (you)", "Bob", "zoe"]
    server.says(b"* names end here: from now on lines go out as they come in\n* left: zoe\n")
    page.wait_for_line("* left: zoe")
    assert page.evaluate("document.getElementById('people').hidden")


def test_the_history_is_marked_and_not_shown_twice(page, server):
    history = b"* said before you came:\nalice: one\nbob: * two\n"
    server.says(history + b"* now:\nalice: three\n")
    page.wait_for_line("alice: three")
    wanted = ["said before you came", "alice: one", "bob: * two", "now", "alice: three"]
    assert page.lines()[2:] == wanted
    server.client.close()
    server.accept()
    server.says(WELCOME + history + b"alice: three\nalice: missed\n* now:\nalice: four\n")
    page.wait_for_line("alice: four")
    assert page.lines()[2:] == [*wanted, *WELCOME.decode().splitlines(), "said before you came",
                                "alice: missed", "now", "alice: four"]


def test_characters_and_lines_that_are_torn_arrive_whole(page, server):
    page.evaluate("taken = 0; whole = take; take = (b) => { whole(b); taken += b.byteLength; }; 0")
    for number, byte in enumerate("alice: € 👋 ü\n".encode(), 1):
        server.says(bytes([byte]))
        page.wait_for(f"taken === {number}")
    page.wait_for_line("alice: € 👋 ü")
    server.says(b"alice: \xff\xc3(\n")
    page.wait_for_line("alice: \ufffd\ufffd(")


def test_a_reader_who_has_scrolled_up_stays_there(page, server):
    server.says(b"".join(b"alice: line %d\n" % n for n in range(300)))
    page.wait_for_line("alice: line 299")
    end = "log.scrollHeight - log.scrollTop - log.clientHeight"
    page.wait_for(f"{end} < 2")
    page.press("PageUp")
    page.wait_for(f"{end} > 100 && !atEnd")
    first = """(() => { const top = log.getBoundingClientRect().top;
        return [...log.children].find((line) => line.getBoundingClientRect().top >= top).textContent;
    })()"""
    seen = page.evaluate(first)
    server.says(b"alice: more\n* came: bob\nbob: and more\n")
    page.wait_for("document.getElementById('below').textContent === '2 new lines ↓'")
    assert page.evaluate(first) == seen
    picture(page, "scrolled.png")

    # What goes at the top, when there is too much, does not move it either.
    server.says(b"".join(b"bob: %d\n" % n for n in range(1800)))
    page.wait_for_line("bob: 1799")
    assert page.evaluate("log.childElementCount") == 2000
    assert page.evaluate(first) == seen
    page.evaluate("document.getElementById('below').click()")
    page.wait_for(f"{end} < 2 && document.getElementById('below').hidden")


def test_a_bounded_number_of_lines_is_kept(page, server):
    server.says(b"".join(b"alice: line %d\n" % n for n in range(20000)))
    page.wait_for_line("alice: line 19999")
    assert page.evaluate("log.childElementCount") == 2000
    assert page.evaluate("said.length") <= 2000
    page.wait_for("log.scrollHeight - log.scrollTop - log.clientHeight < 2")


def test_the_keyboard_is_enough(page, server):
    page.type("al")
    page.press("Tab")
    assert page.evaluate("box.value") == "alice: "
    page.type("yes\n")
    server.hears(b"alice: yes\n")
    page.press("ArrowUp")
    assert page.evaluate("box.value") == "alice: yes"
    page.press("ArrowDown")
    assert page.evaluate("box.value") == ""
    # Where there is nothing to complete, Tab goes on.
    page.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Say"
    page.evaluate("box.focus()")
    # What is pasted may have several lines; each is one.
    page.evaluate("box.value = 'one\\n\\ntwo'")
    page.press("Enter")
    server.hears(b"one\ntwo\n")
    page.evaluate("box.value = 'x'.repeat(8192)")
    page.press("Enter")
    page.wait_for_line("A line has at most 8191 bytes.")
    assert page.evaluate("box.value.length") == 8192
    page.evaluate("box.value = 'x'.repeat(8191)")
    page.press("Enter")
    server.hears(b"x" * 8191 + b"\n")


def test_narrow_screens_and_the_dark(page, server):
    server.says(b"* came: bob, christopher-rob, dora, emil, frederike\n"
                b"* said before you came:\nalice: Is the build green?\nbob: yes, for an hour now\n"
                b"* now:\nalice: " + b"a rather long line " * 12 + b"\nbob: " + b"x" * 200 + b"\n"
                + "dora: שלום, this is RTL\nemil: مرحبا\n".encode() + b"* frederike is now freddy\n")
    page.wait_for_line("* frederike is now freddy")
    for width, height, name in ((360, 640, "narrow"), (1000, 640, "full")):
        page.resize(width, height)
        page.wait_for(f"innerWidth === {width}")
        for dark in (False, True):
            page.dark(dark)
            picture(page, f"{name}-{'dark' if dark else 'light'}.png")
            assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") is dark
            ink, paper = page.evaluate("""[getComputedStyle(document.body).color,
                getComputedStyle(document.querySelector('main')).backgroundColor]
                .map((c) => c.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0))""")
            assert (ink > paper) is dark
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("log.scrollWidth <= log.clientWidth")
        assert page.evaluate("box.getBoundingClientRect().bottom") <= height


def test_it_is_said_to_those_who_cannot_see(page):
    assert page.evaluate("""['log', 'state'].map((id) => document.getElementById(id).getAttribute('role'))
        .join()""") == "log,status"
    assert page.evaluate("log.getAttribute('aria-live')") == "polite"
    assert page.evaluate("box.labels[0].textContent") == "Your line"
