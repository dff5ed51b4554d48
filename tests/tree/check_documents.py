#!/usr/bin/python3
"""The documents, checked against the tree.

SECURITY.md names a test for each promise: every one must exist. README.md links to files and shows
a picture of its table: the files must exist, and the picture must be that of the table.

Usage: check_documents.py ROOT

Output is TAP. Every check is also shown documents that are wrong, and must find what is wrong.
"""

import ast
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(sys.argv[1])
sys.path.insert(0, str(ROOT / 'tests' / 'bench'))
import plot  # noqa: E402 (it lies beside the benchmark)


def tests_of(path):
    """The names of the test functions in a Python file, or None if there is no such file."""
    if not path.exists():
        return None
    return {node.name for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef) and node.name.startswith('test_')}


# Each check yields what is wrong.

def named_tests_exist(root):
    """every test that SECURITY.md names exists"""
    found = 0
    for name in re.findall(r'`([^`\s]+)`', (root / 'SECURITY.md').read_text()):
        if name.startswith('theme::'):
            continue
        place, test = name.split('::') if '::' in name else (name, None)
        if test and not place.startswith('tests/'):
            place = f'tests/integration/test_{place}.py'
        if not re.match(r'tests/\w+/', place) or 'THEME' in place:
            continue
        found += 1
        if not (root / place).exists():
            yield f'{name}: there is no {place}'
        elif test and test not in tests_of(root / place):
            yield f'{name}: {place} has no {test}'
    if found == 0:
        yield 'SECURITY.md names no test'


def links_lead_somewhere(root):
    """every file that README.md, SECURITY.md and HACKING.md link to exists"""
    for name in ('README.md', 'SECURITY.md', 'HACKING.md'):
        for target in re.findall(r'\]\(([^)#:]+)\)', (root / name).read_text()):
            if not (root / target).exists():
                yield f'{name}: there is no {target}'


def picture_is_of_the_table(root):
    """the picture of the benchmark is drawn from README's table (tests/bench/plot.py)"""
    rows = plot.table((root / 'README.md').read_text())
    if not rows:
        yield 'README.md: no table of the benchmark'
    elif (root / 'tests/bench/figures.svg').read_text() != plot.draw(rows, 'send loop'):
        yield 'tests/bench/figures.svg: not that of the table; run tests/bench/plot.py'


TABLE = '| | chatd | send loop |\n| --- | ---: | ---: |\n| 1 to 2 | 30 | 20 |\n'

GOOD = {
    'SECURITY.md': '`theme::test` is in `tests/integration/test_THEME.py`. `chat::test_all`,\n'
                   '`tests/faults/test_x.py::test_all`, `tests/faults/test_x.py`, `limits.lag`\n',
    'README.md': f'[in](HACKING.md) [out](https://example.org/x) [there](#here)\n\n{TABLE}',
    'HACKING.md': '',
    'tests/integration/test_chat.py': 'def test_all(start):\n    pass\n',
    'tests/faults/test_x.py': 'class A:\n    def test_all(self):\n        pass\n',
    'tests/bench/figures.svg': plot.draw(plot.table(TABLE), 'send loop'),
}

WRONG = [
    (named_tests_exist, 'chat::test_none: tests/integration/test_chat.py has no test_none',
     {'SECURITY.md': '`chat::test_none`'}),
    (named_tests_exist, 'none::test_all: there is no tests/integration/test_none.py',
     {'SECURITY.md': '`none::test_all`'}),
    (named_tests_exist, 'tests/faults/test_y.py: there is no tests/faults/test_y.py',
     {'SECURITY.md': '`tests/faults/test_y.py`'}),
    (named_tests_exist, 'SECURITY.md names no test', {'SECURITY.md': ''}),
    (links_lead_somewhere, 'README.md: there is no gone.md', {'README.md': '[x](gone.md)'}),
    (picture_is_of_the_table, 'tests/bench/figures.svg: not that of the table',
     {'README.md': TABLE.replace('30', '31')}),
    (picture_is_of_the_table, 'README.md: no table', {'README.md': ''}),
]

CHECKS = [named_tests_exist, links_lead_somewhere, picture_is_of_the_table]


def faults_of_sample(check, changes):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**GOOD, **changes}.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return list(check(Path(folder)))


def main():
    results = []

    def result(good, name, faults):
        results.append(good)
        print(f'{"ok" if good else "not ok"} {len(results)} - {name}')
        if not good:
            for fault in faults:
                print(f'# {fault}')

    print(f'1..{2 * len(CHECKS) + len(WRONG)}')
    for check in CHECKS:
        faults = list(check(ROOT))
        result(not faults, check.__doc__, faults)
    for check in CHECKS:
        faults = faults_of_sample(check, {})
        result(not faults, f'{check.__name__} finds nothing in good documents', faults)
    for check, wanted, changes in WRONG:
        faults = faults_of_sample(check, changes)
        result(any(fault.startswith(wanted) for fault in faults), f'{check.__name__} finds {wanted}',
               faults or ['nothing was found'])
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
