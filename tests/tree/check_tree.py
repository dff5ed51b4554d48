#!/usr/bin/python3
"""The shape of the source tree, checked.

A module is a .c file and the header of the same name. The floors are stated in one place: the list
`rooms` in src/meson.build, bottom first, and main on top. A module includes only modules that stand
before it there, so there is no include cycle, and a reader may take the rooms one by one.

Usage: check_tree.py SRC INCLUDE COMPILER...   (INCLUDE holds build.h)

Output is TAP. Every check is also shown a small tree that is wrong, and must find what is wrong.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

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
        self.files = sorted(self.src.glob('*.[ch]'))

    def floors(self):
        """Every module's place in the list, from 0."""
        build = (self.src / 'meson.build').read_text()
        rooms = re.search(r'^rooms\s*=\s*files\((.*?)\)', build, re.DOTALL | re.MULTILINE)
        if rooms is None:
            return {}
        names = [Path(name).stem for name in re.findall(r"'([^']+)'", rooms.group(1))]
        return {name: floor for floor, name in enumerate(names + ['main'])}

    def includes(self):
        """For each module the modules that it includes, and where."""
        graph = {path.stem: {} for path in self.files}
        for path in self.files:
            for number, line in enumerate(path.read_text().splitlines(), 1):
                found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
                if found:
                    name = Path(found.group(1)).stem
                    if name != path.stem and name not in GENERATED:
                        graph[path.stem].setdefault(name, f'{path.name}:{number}')
        return graph

    def calls(self, pattern):
        """Where code matches, as (file name, line number, match)."""
        for path in self.files:
            text = code(path)
            for found in re.finditer(pattern, text):
                yield path.name, text.count('\n', 0, found.start()) + 1, found.group()


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


def own_header_first(tree):
    """every module includes its own header first, so headers lack nothing"""
    for path in tree.src.glob('*.c'):
        if not path.with_suffix('.h').exists():
            continue
        first = re.search(r'^\s*#\s*include\s+(\S+)', path.read_text(), re.MULTILINE)
        if first is None or first.group(1) != f'"{path.stem}.h"':
            yield f'{path.name}: begins with {first.group(1) if first else "nothing"}'


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
    owners = {'trace.c', 'options.c'}
    for name, line, found in tree.calls(
            r'\b(?:v?printf|puts|putchar)\s*\(|\bstdout\b|\bSTDOUT_FILENO\b'
            r'|\bv?dprintf\s*\(|\bf?write\s*\(\s*1\b'):
        if name == 'server.c' and found == 'STDOUT_FILENO':
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
            yield f'{path.name}: {found}'


def guarded_headers(tree):
    """every header has an include guard of its own name"""
    for path in tree.src.glob('*.h'):
        guard = f'CHATD_{path.stem.upper()}_H'
        lines = [line for line in code(path).splitlines() if line.strip()]
        if (len(lines) < 3 or lines[0].split() != ['#ifndef', guard]
                or lines[1].split() != ['#define', guard] or lines[-1].split() != ['#endif']):
            yield f'{path.name}: no guard {guard}'


def headers_alone(tree):
    """every header compiles alone"""
    for path in sorted(tree.src.glob('*.h')):
        run = subprocess.run(
            [*tree.compiler, '-std=gnu11', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror',
             '-fsyntax-only', '-I', tree.include, '-I', str(tree.src), '-x', 'c', '-'],
            input=f'#include "{path.name}"\n#include "{path.name}"\n',
            capture_output=True, text=True)
        if run.returncode != 0:
            lines = run.stderr.splitlines() or ['the compiler failed']
            yield f'{path.name}: {next((line for line in lines if "error" in line), lines[0])}'


# Each check with a tree that is wrong, and what must be found in it. A file that is not named is as
# in GOOD, None takes it away.

GOOD = {
    'meson.build': "rooms = files(\n  'low.c', 'high.c')\n",
    'low.h': '/* low */\n#ifndef CHATD_LOW_H\n#define CHATD_LOW_H\nint low(int);\n#endif\n',
    'low.c': '#include "low.h"\n\nint\nlow(int n)\n{\n\treturn n;\n}\n',
    'high.h': '#ifndef CHATD_HIGH_H\n#define CHATD_HIGH_H\nint high(int);\n#endif\n',
    'high.c': '#include "high.h"\n\n#include <sys/select.h>\n\n#include "low.h"\n\n'
              'int\nhigh(int n)\n{\n'
              '\t/* select(); printf("x"); fork(); FD_SET */ // select()\n'
              '\tconst char *text = "select() \\" fork() puts() FD_SET(";\n\n'
              '\treturn text[0] + pselect(low(n), 0, 0, 0, 0, 0);\n}\n',
    'main.c': '#include "high.h"\n\nint\nmain(void)\n{\n\treturn high(1);\n}\n',
}

SELECT = 'int\nother(void)\n{\n\treturn %s;\n}\n'

WRONG = [
    (no_include_cycle, 'high -> low -> high',
     {'low.c': '#include "low.h"\n#include "high.h"\n'}),
    (no_include_cycle, 'a -> b -> c -> a',
     {'a.h': '#include "b.h"\n', 'b.h': '# include "c.h"\n', 'c.c': '#include "a.h"\n'}),
    (floors, 'low.c:2: high is not below low',
     {'low.c': '#include "low.h"\n#include "high.h"\n'}),
    (floors, 'low.h:1: high is not below low', {'low.h': '#include "high.h"\n'}),
    (floors, 'extra: is not in the list of rooms', {'extra.c': ''}),
    (floors, 'main.c:1: extra is not in the list of rooms',
     {'extra.h': '', 'main.c': '#include "extra.h"\n'}),
    (floors, 'high.c:1: main is not below high', {'high.c': '#include "main.h"\n', 'main.h': ''}),
    (floors, 'low: is in the list of rooms, but not in the tree', {'low.c': None, 'low.h': None}),
    (floors, 'low: is not in the list of rooms', {'meson.build': ''}),
    (own_header_first, 'high.c: begins with <stdio.h>',
     {'high.c': '#include <stdio.h>\n#include "high.h"\n'}),
    (one_wait, 'select is called 2 times: high.c:13, low.c:4',
     {'low.c': SELECT % 'select(0, 0, 0, 0, 0)'}),
    (one_wait, 'select is called 0 times', {'high.c': ''}),
    (one_wait, 'low.c:4: poll(', {'low.c': SELECT % 'poll(0, 0, 0)'}),
    (one_wait, 'low.c:4: usleep (', {'low.c': SELECT % 'usleep (1)'}),
    (no_small_sets, 'low.c:4: FD_ISSET', {'low.c': SELECT % 'FD_ISSET(1, set)'}),
    (no_small_sets, 'low.h:1: FD_SETSIZE', {'low.h': 'extern int room[FD_SETSIZE];\n'}),
    (one_writer_of_stdout, 'low.c:4: printf(', {'low.c': SELECT % 'printf("x")'}),
    (one_writer_of_stdout, 'low.c:4: puts (', {'low.c': SELECT % 'puts ("x")'}),
    (one_writer_of_stdout, 'low.c:4: stdout', {'low.c': SELECT % 'fputs("x", stdout)'}),
    (one_writer_of_stdout, 'low.c:4: write(1', {'low.c': SELECT % 'write(1, "x", 1)'}),
    (one_thread, 'low.c:4: fork(', {'low.c': SELECT % 'fork()'}),
    (one_thread, 'low.c:4: pthread_create(', {'low.c': SELECT % 'pthread_create(0, 0, 0, 0)'}),
    (one_thread, 'low.c:4: system(', {'low.c': SELECT % 'system("x")'}),
    (one_thread, 'low.h: threads.h', {'low.h': '#include <threads.h>\n'}),
    (guarded_headers, 'low.h: no guard CHATD_LOW_H', {'low.h': 'int low(int);\n'}),
    (guarded_headers, 'low.h: no guard CHATD_LOW_H',
     {'low.h': '#ifndef CHATD_HIGH_H\n#define CHATD_HIGH_H\nint low(int);\n#endif\n'}),
    (headers_alone, "low.h: ", {'low.h': GOOD['low.h'].replace('int low(int)', 'size_t low(int)')}),
    (headers_alone, 'high.h: ', {'high.h': 'struct high { int n; };\n'}),
]

CHECKS = [no_include_cycle, floors, own_header_first, one_wait, no_small_sets,
          one_writer_of_stdout, one_thread, guarded_headers, headers_alone]


def faults_of_sample(check, changes, include, compiler):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**GOOD, **changes}.items():
            if text is not None:
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
