#!/usr/bin/python3
"""The memory of chatd in a flood: one sender, many readers, one of them slow.

    tests/bench/flood.py CHATD [--bytes 1G] [--readers 100] [--pace 20M] [--queue 1M]

The slow reader takes PACE bytes a second, so chatd holds the sender back to that. It and one more
reader check every byte; the others count. Prints the peak memory of the daemon, and fails when a
byte is missing or wrong.
"""
import argparse
import os
import resource
import selectors
import socket
import subprocess
import sys
import tempfile
import time

LINE = 64


def size(text):
    """A number of bytes such as 20M."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


def speech(start, end):
    """Bytes start to end of an endless series of numbered lines."""
    first, last = start // LINE, -(-end // LINE)
    lines = b"".join(b"%*d\n" % (LINE - 1, n) for n in range(first, last))
    return lines[start - first * LINE:end - first * LINE]


class Reader:
    """Counts what comes, and compares it when it is to be checked."""

    def __init__(self, port, checks):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.got = 0
        self.checks = checks
        self.buffer = bytearray(1 << 20)

    def take(self, limit):
        limit = min(limit, len(self.buffer))
        if not self.checks:
            self.got += self.socket.recv_into(self.buffer, limit, socket.MSG_TRUNC)
            return
        count = self.socket.recv_into(self.buffer, limit)
        if self.buffer[:count] != speech(self.got, self.got + count):
            sys.exit(f"wrong bytes after {self.got}")
        self.got += count


def flood(port, args):
    """Sends and reads until all have everything. Returns the seconds it took."""
    readers = [Reader(port, n < 2) for n in range(args.readers)]
    slow = readers[0]
    sender = socket.create_connection(("127.0.0.1", port))
    sender.setblocking(False)
    sent, block = 0, b""
    start = time.monotonic()
    selector = selectors.DefaultSelector()
    selector.register(sender, selectors.EVENT_WRITE)
    for reader in readers[1:]:
        selector.register(reader.socket, selectors.EVENT_READ, reader)
    unfinished = args.readers
    while unfinished > 0:
        for key, _ in selector.select(0.01):
            reader = key.data
            if reader is None:
                block = block or speech(sent, min(args.bytes, sent + (1 << 20)))
                count = sender.send(block)
                sent, block = sent + count, block[count:]
                if sent == args.bytes:
                    selector.unregister(sender)
                continue
            reader.take(1 << 20)
            if reader.got == args.bytes:
                selector.unregister(reader.socket)
                unfinished -= 1
        due = int((time.monotonic() - start) * args.pace) - slow.got
        if due > 0 and slow.got < args.bytes:
            try:
                slow.take(due)
            except BlockingIOError:
                pass
            unfinished -= slow.got == args.bytes
    return time.monotonic() - start


def status(pid, name):
    """A figure of /proc/PID/status, in KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ":"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chatd")
    parser.add_argument("--bytes", type=size, default=size("1G"))
    parser.add_argument("--readers", type=int, default=100)
    parser.add_argument("--pace", type=size, default=size("20M"))
    parser.add_argument("--queue", default="1M")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "chatd.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(f'listen = ["127.0.0.1:0"]; trace = false; '
                       f'limits = {{ queue = "{args.queue}"; clients = {args.readers + 1}; }};')
        with subprocess.Popen([args.chatd, "-c", path], stderr=subprocess.PIPE) as chatd:
            port = int(chatd.stderr.readline().rsplit(b":", 1)[1])
            before = status(chatd.pid, "VmRSS")
            try:
                seconds = flood(port, args)
                peak = status(chatd.pid, "VmHWM")
            finally:
                chatd.terminate()
    print(f"{args.bytes >> 20} MiB from 1 to {args.readers} readers, one taking "
          f"{args.pace >> 20} MiB/s, in {seconds:.1f} s: peak memory {peak} KiB, "
          f"{before} KiB before; nothing lost")


if __name__ == "__main__":
    main()
