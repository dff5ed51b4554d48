"""The libraries that are preloaded into chatd to make calls fail, and what steers them."""

import mmap
import os
import struct

import chatd

# Beside the binary that is tested, as the build puts them; or where $FAULTS_SHIMS says.
FOLDER = os.environ.get("FAULTS_SHIMS") or os.path.join(
    os.path.dirname(os.path.dirname(chatd.CHATD)), "tests", "faults")
FOREVER = 2**64 - 1


class Shim:
    """The numbers that a shim shares with the test, as attributes. See memory.c, sockets.c."""

    def __init__(self, folder, name, **fields):
        # LD_PRELOAD ends at a blank, which the name of the build's folder may have.
        library = os.path.join(str(folder), f"lib{name}.so")
        os.symlink(os.path.join(FOLDER, f"lib{name}.so"), library)
        path = os.path.join(str(folder), f"shim-{name}")
        with open(path, "w+b") as file:
            file.write(bytes(8 * len(fields)))
            file.flush()
            self.__dict__["_page"] = mmap.mmap(file.fileno(), 8 * len(fields))
        self.__dict__["_places"] = {field: 8 * n for n, field in enumerate(fields)}
        for field, value in fields.items():
            setattr(self, field, value)
        self.__dict__["env"] = {
            "LD_PRELOAD": library, f"FAULTS_{name.upper()}": path,
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    def __getattr__(self, field):
        return struct.unpack_from("Q", self._page, self._places[field])[0]

    def __setattr__(self, field, value):
        struct.pack_into("Q", self._page, self._places[field], value)


def memory(folder):
    return Shim(folder, "memory", count=0, **{"from": FOREVER}, until=FOREVER, refused=0)


def refuse(shim, first, number=FOREVER):
    """Of the allocations to come the first-th is refused, and so many from it on."""
    start = shim.count + first
    shim.until = min(start + number, FOREVER)
    setattr(shim, "from", start)


def sockets(folder, seed, pieces, errors):
    return Shim(folder, "sockets", random=seed, pieces=pieces, errors=errors, given=0)
