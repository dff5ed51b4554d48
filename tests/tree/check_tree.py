#!/usr/bin/python3
"""The shape of the source tree, checked.

A module is a .c file and the header of the same name; its name is its path, "wire/queue". A folder
is a floor. The floors are stated in one place: the list `rooms` in src/meson.build, bottom first,
and main on top. A module includes only modules that stand before it there, so there is no include
cycle, and a reader may take the rooms one by one. All rooms of a folder stand together in the list.

Usage: check_tree.py SRC INCLUDE COMPILER...   (INCLUDE holds build.h)

Output is TAP. Every check is also shown a small tree that is wrong, and must find what is wrong.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

LINES_MAX = 400
GENERATED = {'build'}  # headers that the build makes

COMMENT_OR_TEXT = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def code(path):
    """The text without comments, and with empty strings in the place of strings."""
    def blank(match):
        found = match.group()
        if found.startswith('/'):
            return '\n' * found.count('\n') or ' '
        return found[0] * 2
    return COMMENT_OR_TEXT.sub(blank, path.read_text())


class Tree:
    def __init__(self, src, include, compiler):
        self.src = Path(src)
        self.include = str(include)
        self.compiler = compiler
        self.files = sorted(self.src.rglob('*.[ch]'))

    def module(self, path):
        """"wire/queue" for wire/queue.c and wire/queue.h, and for its stub, wire/queue_none.c."""
        return str(path.relative_to(self.src).with_suffix('')).removesuffix('_none')

    def place(self, path):
        """"wire/queue.c"."""
        return str(path.relative_to(self.src))

    def floors(self):
        """Every module's place in the list, from 0. What belongs to no folder is on top."""
        build = (self.src / 'meson.build').read_text()
        rooms = re.search(r'^rooms\s*=\s*files\((.*?)\)', build, re.DOTALL | re.MULTILINE)
        if rooms is None:
            return {}
        names = [name.removesuffix('.c') for name in re.findall(r"'([^']+)'", rooms.group(1))]
        names = [name for name in names if name]  # 'base/low' + stub + '.c'
        return {name: floor for floor, name in enumerate(names + ['main'])}

    def includes(self):
        """For each module the modules that it includes, and where."""
        graph = {self.module(path): {} for path in self.files}
        for path in self.files:
            module = self.module(path)
            for number, line in enumerate(path.read_text().splitlines(), 1):
                found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
                if found:
                    name = str(Path(found.group(1)).with_suffix(''))
                    if name != module and name not in GENERATED:
                        graph[module].setdefault(name, f'{self.place(path)}:{number}')
        return graph

    def calls(self, pattern):
        """Where code matches, as (file name, line number, match)."""
        for path in self.files:
            text = code(path)
            for found in re.finditer(pattern, text):
                yield self.place(path), text.count('\n', 0, found.start()) + 1, found.group()


# Each check yields what is wrong.

def no_include_cycle(tree):
    """no module includes itself through others"""
    graph = tree.includes()
    done = set()

    def visit(name, way):
        if name in way:
            yield ' -> '.join(way[way.index(name):] + [name])
        elif name not in done:
            for other in graph.get(name, {}):
                yield from visit(other, way + [name])
            done.add(name)

    for name in graph:
        yield from visit(name, [])


def floors(tree):
    """every module includes only modules of lower floors"""
    floor = tree.floors()
    for name, others in tree.includes().items():
        if name not in floor:
            yield f'{name}: is not in the list of rooms'
            continue
        for other, where in others.items():
            if other not in floor:
                yield f'{where}: {other} is not in the list of rooms'
            elif floor[other] >= floor[name]:
                yield f'{where}: {other} is not below {name}'
    for name in floor:
        if not (tree.src / f'{name}.c').exists():
            yield f'{name}: is in the list of rooms, but not in the tree'


def folders_are_floors(tree):
    """the rooms of a folder stand together in the list, so that a folder is a floor"""
    left, last = set(), None
    for name in tree.floors():
        folder = str(Path(name).parent)
        if folder != last and folder in left:
            yield f'{name}: stands apart from the other rooms of {folder}'
        left.add(last)
        last = folder


def short_files(tree):
    """no file is longer than a reader likes"""
    for path in tree.files:
        lines = path.read_text().count('\n')
        if lines > LINES_MAX:
            yield f'{tree.place(path)}: {lines} lines'


def own_header_first(tree):
    """every module includes its own header first, so headers lack nothing"""
    for path in sorted(tree.src.rglob('*.c')):
        if not (tree.src / f'{tree.module(path)}.h').exists():
            continue
        first = re.search(r'^\s*#\s*include\s+(\S+)', path.read_text(), re.MULTILINE)
        if first is None or first.group(1) != f'"{tree.module(path)}.h"':
            yield f'{tree.place(path)}: begins with {first.group(1) if first else "nothing"}'


def one_wait(tree):
    """the loop waits in one place, with select"""
    waits = list(tree.calls(r'\bp?select\s*\('))
    if len(waits) != 1:
        yield 'select is called %d times: %s' % (
            len(waits), ', '.join(f'{name}:{line}' for name, line, _ in waits))
    for name, line, found in tree.calls(
            r'\b(?:p?poll|epoll_\w+|io_uring_\w+|u?sleep|nanosleep|clock_nanosleep|pause'
            r'|sigsuspend|sigwait\w*)\s*\('):
        yield f'{name}:{line}: {found}'


def no_small_sets(tree):
    """the set macros that end at 1024 descriptors are not used"""
    for name, line, found in tree.calls(r'\bFD_(?:SET|CLR|ISSET|ZERO|SETSIZE)\b'):
        yield f'{name}:{line}: {found}'


def one_writer_of_stdout(tree):
    """standard output belongs to the trace, and to answers of runs that do not serve"""
    owners = {'base/trace.c', 'conf/options.c'}
    for name, line, found in tree.calls(
            r'\b(?:v?printf|puts|putchar)\s*\(|\bstdout\b|\bSTDOUT_FILENO\b'
            r'|\bv?dprintf\s*\(|\bf?write\s*\(\s*1\b'):
        if name.startswith('base/streams.') and found == 'STDOUT_FILENO':
            continue  # waits for it while it is blocked
        if name not in owners:
            yield f'{name}:{line}: {found}'


def one_thread(tree):
    """there are no threads and no child processes"""
    for name, line, found in tree.calls(
            r'\b(?:pthread_\w+|thrd_\w+|v?fork|clone3?|posix_spawnp?|popen|system|daemon'
            r'|exec[lv]p?e?)\s*\('):
        yield f'{name}:{line}: {found}'
    for path in tree.files:
        for found in re.findall(r'#\s*include\s+<(pthread\.h|threads\.h|spawn\.h)>',
                                path.read_text()):
            yield f'{tree.place(path)}: {found}'


def guarded_headers(tree):
    """every header has an include guard of its own name"""
    for path in sorted(tree.src.rglob('*.h')):
        guard = f'CHATD_{path.stem.upper()}_H'
        lines = [line for line in code(path).splitlines() if line.strip()]
        if (len(lines) < 3 or lines[0].split() != ['#ifndef', guard]
                or lines[1].split() != ['#define', guard] or lines[-1].split() != ['#endif']):
            yield f'{tree.place(path)}: no guard {guard}'


def headers_alone(tree):
    """every header compiles alone"""
    for path in sorted(tree.src.rglob('*.h')):
        run = subprocess.run(
            [*tree.compiler, '-std=gnu11', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror',
             '-fsyntax-only', '-I', tree.include, '-I', str(tree.src), '-x', 'c', '-'],
            input=f'#include "{tree.place(path)}"\n' * 2,
            capture_output=True, text=True)
        if run.returncode != 0:
            lines = run.stderr.splitlines() or ['the compiler failed']
            yield f'{tree.place(path)}: {next((line for line in lines if "error" in line), lines[0])}'


# Each check with a tree that is wrong, and what must be found in it. A file that is not named is as
# in GOOD, None takes it away.

GOOD = {
    'meson.build': "rooms = files(\n  'base/low' + stub + '.c', 'chat/high.c')\n",
    'base/low_none.c': '#include "base/low.h"\n\nint\nlow(int n)\n{\n\treturn -n;\n}\n',
    'base/low.h': '/* low */\n#ifndef CHATD_LOW_H\n#define CHATD_LOW_H\nint low(int);\n#endif\n',
    'base/low.c': '#include "base/low.h"\n\nint\nlow(int n)\n{\n\treturn n;\n}\n',
    'chat/high.h': '#ifndef CHATD_HIGH_H\n#define CHATD_HIGH_H\nint high(int);\n#endif\n',
    'chat/high.c': '#include "chat/high.h"\n\n#include <sys/select.h>\n\n#include "base/low.h"\n\n'
              'int\nhigh(int n)\n{\n'
              '\t/* select(); printf("x"); fork(); FD_SET */ // select()\n'
              '\tconst char *text = "select() \\" fork() puts() FD_SET(";\n\n'
              '\treturn text[0] + pselect(low(n), 0, 0, 0, 0, 0);\n}\n',
    'main.c': '#include "chat/high.h"\n\nint\nmain(void)\n{\n\treturn high(1);\n}\n',
}

SELECT = 'int\nother(void)\n{\n\treturn %s;\n}\n'

WRONG = [
    (no_include_cycle, 'base/low -> chat/high -> base/low',
     {'base/low.c': '#include "base/low.h"\n#include "chat/high.h"\n'}),
    (no_include_cycle, 'a -> b -> c -> a',
     {'a.h': '#include "b.h"\n', 'b.h': '# include "c.h"\n', 'c.c': '#include "a.h"\n'}),
    (floors, 'base/low.c:2: chat/high is not below base/low',
     {'base/low.c': '#include "base/low.h"\n#include "chat/high.h"\n'}),
    (floors, 'base/low.h:1: chat/high is not below base/low', {'base/low.h': '#include "chat/high.h"\n'}),
    (floors, 'extra: is not in the list of rooms', {'extra.c': ''}),
    (floors, 'main.c:1: extra is not in the list of rooms',
     {'extra.h': '', 'main.c': '#include "extra.h"\n'}),
    (floors, 'chat/high.c:1: main is not below chat/high', {'chat/high.c': '#include "main.h"\n', 'main.h': ''}),
    (floors, 'base/low: is in the list of rooms, but not in the tree',
     {'base/low_none.c': None, 'base/low.c': None, 'base/low.h': None}),
    (floors, 'base/low: is not in the list of rooms', {'meson.build': ''}),
    (folders_are_floors, 'base/third: stands apart from the other rooms of base',
     {'meson.build': "rooms = files('base/low.c', 'chat/high.c', 'base/third.c')\n"}),
    (short_files, 'base/low.c: ', {'base/low.c': '\n' * (LINES_MAX + 1)}),
    (floors, 'base/low_none.c:2: chat/high is not below base/low',
     {'base/low_none.c': '#include "base/low.h"\n#include "chat/high.h"\n'}),
    (own_header_first, 'base/low_none.c: begins with <stdio.h>', {'base/low_none.c': '#include <stdio.h>\n'}),
    (own_header_first, 'chat/high.c: begins with <stdio.h>',
     {'chat/high.c': '#include <stdio.h>\n#include "chat/high.h"\n'}),
    (one_wait, 'select is called 2 times: base/low.c:4, chat/high.c:13',
     {'base/low.c': SELECT % 'select(0, 0, 0, 0, 0)'}),
    (one_wait, 'select is called 0 times', {'chat/high.c': ''}),
    (one_wait, 'base/low.c:4: poll(', {'base/low.c': SELECT % 'poll(0, 0, 0)'}),
    (one_wait, 'base/low.c:4: usleep (', {'base/low.c': SELECT % 'usleep (1)'}),
    (no_small_sets, 'base/low.c:4: FD_ISSET', {'base/low.c': SELECT % 'FD_ISSET(1, set)'}),
    (no_small_sets, 'base/low.h:1: FD_SETSIZE', {'base/low.h': 'extern int room[FD_SETSIZE];\n'}),
    (one_writer_of_stdout, 'base/low.c:4: printf(', {'base/low.c': SELECT % 'printf("x")'}),
    (one_writer_of_stdout, 'base/low.c:4: puts (', {'base/low.c': SELECT % 'puts ("x")'}),
    (one_writer_of_stdout, 'base/low.c:4: stdout', {'base/low.c': SELECT % 'fputs("x", stdout)'}),
    (one_writer_of_stdout, 'base/low.c:4: write(1', {'base/low.c': SELECT % 'write(1, "x", 1)'}),
    (one_thread, 'base/low.c:4: fork(', {'base/low.c': SELECT % 'fork()'}),
    (one_thread, 'base/low.c:4: pthread_create(', {'base/low.c': SELECT % 'pthread_create(0, 0, 0, 0)'}),
    (one_thread, 'base/low.c:4: system(', {'base/low.c': SELECT % 'system("x")'}),
    (one_thread, 'base/low.h: threads.h', {'base/low.h': '#include <threads.h>\n'}),
    (guarded_headers, 'base/low.h: no guard CHATD_LOW_H', {'base/low.h': 'int low(int);\n'}),
    (guarded_headers, 'base/low.h: no guard CHATD_LOW_H',
     {'base/low.h': '#ifndef CHATD_HIGH_H\n#define CHATD_HIGH_H\nint low(int);\n#endif\n'}),
    (headers_alone, "base/low.h: ", {'base/low.h': GOOD['base/low.h'].replace('int low(int)', 'size_t low(int)')}),
    (headers_alone, 'chat/high.h: ', {'chat/high.h': 'struct high { int n; };\n'}),
]

CHECKS = [no_include_cycle, floors, folders_are_floors, short_files, own_header_first, one_wait, no_small_sets,
          one_writer_of_stdout, one_thread, guarded_headers, headers_alone]


def faults_of_sample(check, changes, include, compiler):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**GOOD, **changes}.items():
            if text is not None:
                Path(folder, name).parent.mkdir(exist_ok=True)
                Path(folder, name).write_text(text)
        return list(check(Tree(folder, include, compiler)))


def main():
    src, include, *compiler = sys.argv[1:]
    tree = Tree(src, include, compiler)
    results = []

    def result(good, name, faults):
        results.append(good)
        print(f'{"ok" if good else "not ok"} {len(results)} - {name}')
        if not good:
            for fault in faults:
                print(f'# {fault}')

    print(f'1..{2 * len(CHECKS) + len(WRONG)}')
    for check in CHECKS:
        faults = list(check(tree))
        result(not faults, check.__doc__, faults)
    for check in CHECKS:
        faults = faults_of_sample(check, {}, include, compiler)
        result(not faults, f'{check.__name__} finds nothing in a good tree', faults)
    for check, wanted, changes in WRONG:
        faults = faults_of_sample(check, changes, include, compiler)
        result(any(fault.startswith(wanted) for fault in faults),
               f'{check.__name__} finds {wanted.strip(": ")}',
               faults or ['nothing was found'])
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
