#!/usr/bin/python3
"""Takes README's picture of the page for browsers: tests/picture/web.py CHATD [PNG]

A real chatd, with two people in browsers and one with a socket. Needs chromium and websockify.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
if len(sys.argv) not in (2, 3):
    sys.exit(__doc__)
os.environ["CHATD"] = sys.argv[1]
sys.path.insert(0, str(HERE.parent / "integration"))

from browser import Browser  # noqa: E402 (it lies beside the tests)
from chatd import Daemon, free_port, reachable, wait_until  # noqa: E402

PAGE = HERE.parents[1] / "examples" / "web" / "page"


def chat(address, chatd, browser):
    """The page of one of them, when all has been said. Each step waits until the one before is seen."""
    carol = chatd.client()
    carol.send(b"/name carol\nThe new build is out.\n")
    chatd.stderr.wait_for("is now carol\n")
    anna = browser.open(address, 900, 440)
    anna.wait_for_line("now")
    anna.type("/name anna\n")
    anna.wait_for_line("* came: anna")
    ben = browser.open(address)
    ben.wait_for_state("connected")
    ben.type("/name ben\n")
    anna.wait_for_line("* came: ben")
    ben.type("Is it green?\n")
    anna.wait_for_line("ben: Is it green?")
    anna.type("yes, for an hour now\n")
    ben.wait_for_line("anna: yes, for an hour now")
    carol.send(b"And <b>here</b> it stays text.\n")
    anna.wait_for_line("carol: And <b>here</b> it stays text.")
    subprocess.run(["nc", "-N", "127.0.0.1", str(chatd.port)], check=True, stdout=subprocess.DEVNULL,
                   input=b"/name backup\nof db1 is done\n")
    anna.wait_for_line("backup: of db1 is done")
    anna.type("thanks, ba")
    return anna


def main():
    place = sys.argv[2] if len(sys.argv) == 3 else HERE / "web.png"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        chatd = Daemon(folder, more='mode = "chat"; history = "4K";').start()
        port = free_port()
        carrier = subprocess.Popen(
            ["websockify", f"--web={PAGE}", f"127.0.0.1:{port}", f"127.0.0.1:{chatd.port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        browser = Browser(folder)
        try:
            wait_until(lambda: reachable(port))
            chat(f"http://127.0.0.1:{port}/", chatd, browser).screenshot(place)
        finally:
            browser.close()
            carrier.terminate()
            carrier.wait()
            chatd.stop()


if __name__ == "__main__":
    main()
