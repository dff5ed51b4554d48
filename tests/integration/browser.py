"""A real Chromium without a screen, driven through its DevTools protocol.

    browser = Browser(directory)
    page = browser.open(url)        # each in a profile of its own, as two people would have
    page.wait_for("document.title === 'Chat'")
    page.type("hello\\n")
    browser.close()

It is spoken to through a pair of pipes: JSON, each message ended by a null byte.
"""

import base64
import fcntl
import json
import os
import re
import select
import shutil
import subprocess
import time

import chatd

# It has many processes, each of which waits for its turn.
PATIENCE = 3 * chatd.PATIENCE

# Resolves when the condition holds. Not all that a page shows is a change of its document, so it is
# asked for again and again.
WAIT = """new Promise((done) => {
    const look = () => { if (%s) done(true); else setTimeout(look, 20); };
    look();
})"""


def chromium():
    """The path of the program, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    def __init__(self, directory):
        self.number, self.events, self.rest = 0, [], b""
        self.contexts = []
        self.process = self._start(directory)

    def _start(self, directory):
        its_end, self.out = os.pipe()
        self.into, other_end = os.pipe()
        # It speaks through descriptors 3 and 4, so the ends that it gets must be none of these.
        to_read, to_write = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (its_end, other_end))
        command = ["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write} {to_read}<&- {to_write}>&-',
                   "chromium", chromium(),
                   "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu",
                   "--disable-dev-shm-usage", "--no-sandbox", "--disable-background-networking",
                   "--disable-component-update", "--lang=en", f"--user-data-dir={directory}"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, pass_fds=(to_read, to_write),
                                   env={**os.environ, "HOME": str(directory)})
        for fd in (its_end, other_end, to_read, to_write):
            os.close(fd)
        return process

    def _message(self, deadline):
        while b"\0" not in self.rest:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.into], [], [], left)[0], "Chromium is silent"
            piece = os.read(self.into, 1 << 20)
            assert piece, "Chromium has ended"
            self.rest += piece
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, session=None, **params):
        """The result of a command; what happens meanwhile is kept in events."""
        self.number += 1
        command = {"id": self.number, "method": method, "params": params}
        if session:
            command["sessionId"] = session
        out = json.dumps(command).encode() + b"\0"
        while out:
            out = out[os.write(self.out, out):]
        deadline = chatd.monotonic_deadline(PATIENCE + 10)  # the page itself waits PATIENCE
        while True:
            message = self._message(deadline)
            if message.get("id") == self.number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self.events.append(message)

    def open(self, url, width=1000, height=640):
        context = self.call("Target.createBrowserContext")["browserContextId"]
        self.contexts.append(context)
        return Page(self, context, url, width, height)

    def close_pages(self):
        while self.contexts:
            self.call("Target.disposeBrowserContext", browserContextId=self.contexts.pop())

    def close(self):
        self.call("Browser.close")
        self.process.wait(PATIENCE)
        os.close(self.into)
        os.close(self.out)


class Page:
    def __init__(self, browser, context, url, width, height):
        self.browser, self.context = browser, context
        self.target = browser.call("Target.createTarget", url="about:blank", browserContextId=context,
                                   width=width, height=height)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target,
                                    flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Runtime.enable")
        self.call("Log.enable")
        self.resize(width, height)
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def call(self, method, **params):
        return self.browser.call(method, session=self.session, **params)

    def evaluate(self, script):
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True,
                           returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, condition):
        result = self.call("Runtime.evaluate", expression=f"Promise.race([{WAIT % condition}, "
                           f"new Promise((done) => setTimeout(() => done(false), {PATIENCE * 1000}))])",
                           awaitPromise=True, returnByValue=True)
        assert result["result"].get("value") is True, f"{condition}: {result} in\n{self.text()}"

    def text(self):
        return self.evaluate("document.body.innerText")

    def lines(self):
        """The text of each line of the log, without its time."""
        return [re.sub(r"^(\d\d:\d\d)? ?", "", line) for line in self.evaluate(
            "[...document.querySelectorAll('#log > div')].map((line) => line.textContent)")]

    def wait_for_line(self, text, count=1):
        """Until the log has a line of this text, whatever its time, so often."""
        self.wait_for("[...document.querySelectorAll('#log > div')].filter((line) => "
                      "line.textContent.replace(/^(\\d\\d:\\d\\d)? ?/, '') === "
                      f"{json.dumps(text)}).length >= {count}")

    def wait_for_state(self, state):
        self.wait_for(f"document.getElementById('state').dataset.state === {json.dumps(state)}")

    def press(self, key, code=None):
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      windowsVirtualKeyCode=code or {"Enter": 13, "Tab": 9, "ArrowUp": 38,
                                                     "ArrowDown": 40, "PageUp": 33, "End": 35}[key])

    def type(self, text):
        """As with a keyboard, into what has the focus; a newline is Enter."""
        for number, line in enumerate(text.split("\n")):
            if number:
                self.press("Enter")
            if line:
                self.call("Input.insertText", text=line)

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)

    def dark(self, dark=True):
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def cover(self):
        """Another tab comes in front of it."""
        return self.browser.call("Target.createTarget", url="about:blank",
                                 browserContextId=self.context)["targetId"]

    def uncover(self):
        self.call("Page.bringToFront")
