"""Whether tests/mutate can tell a mutant that dies from one that lives: it is run on a small project
with one function that its test knows, and one that nothing knows."""

from pathlib import Path
import re
import subprocess
import sys
import tempfile

MUTATE = Path(__file__).resolve().parent.parent / 'mutate'

SAMPLE = {
    'meson_options.txt': "option('tests', type: 'feature')\n",
    'meson.build': "project('sample', 'c')\n"
                   "room = static_library('room', 'src/room.c')\n"
                   "test('room', executable('test_room', 'test_room.c', link_with: room),"
                   " suite: 'unit')\n",
    # Without its last statement, or counting downwards, the loop has no end: then the test is ended.
    'src/room.c': '/* 1 < 2 */ int known(int n)\n{\n\tint sum = 0;\n\n\twhile (n != 0) {\n\t\tsum += 2;\n'
                  '\t\tn--;\n\t\t__asm__ volatile("");\n\t}\n\treturn sum;\n}\n'
                  'int unknown(int n)\n{\n\treturn n + 5;\n}\n'
                  'int same(unsigned n)\n{\n\treturn n > 0 ? 7 : 7;\n}\n',
    'test_room.c': 'int known(int);\nint main(void)\n{\n\treturn known(3) != 6;\n}\n',
}

# Of each line: the mutants that live and have to be named.
LIVES = {14: {'return 0;', 'return n - 5;', 'return n + 4;', 'return n + 6;'}}


def main():
    with tempfile.TemporaryDirectory(prefix='sample ') as folder:
        for name, text in SAMPLE.items():
            Path(folder, name).parent.mkdir(exist_ok=True)
            Path(folder, name).write_text(text)
        runs = [subprocess.run([MUTATE, '--root', folder, '--seed', seed, '--jobs', '1', '--suite', 'unit',
                                '--count', count], capture_output=True, text=True)
                for seed, count in (('1', '1000'), ('2', '4'), ('2', '4'))]
        same = Path(folder, 'src/room.c').read_text() == SAMPLE['src/room.c']
    said = runs[0].stdout
    lives = {}
    for line, mutated in re.findall(r'^src/room\.c:(\d+)\n  - .*\n  \+ (.*)$', said, re.M):
        lives.setdefault(int(line), set()).add(mutated)
    killed, counted = map(int, re.findall(r'(\d+) of (\d+) \(\d+ %\), seed 1$', said)[0]) \
        if runs[0].returncode == 0 else (0, 0)
    # What the last function returns differs in the two mutants of a seven.
    results = {
        'the run ends well': all(run.returncode == 0 for run in runs),
        'what the test knows is killed': not set(lives) & set(range(1, 12)) and killed >= 8,
        'what nothing knows survives': lives.get(14) == LIVES[14],
        'what the compiler finds equal is not counted': not any('n >= 0' in m for m in lives.get(18, ())),
        'the counts agree': counted - killed == sum(map(len, lives.values())),
        'the same seed makes the same mutants': runs[1].stdout == runs[2].stdout != '',
        'the sources stay as they are': same,
    }
    print(f'1..{len(results)}')
    for number, (name, good) in enumerate(results.items(), 1):
        print(f'{"ok" if good else "not ok"} {number} - {name}')
    if not all(results.values()):
        for line in (said + runs[0].stderr).splitlines():
            print('#', line)
    return 0 if all(results.values()) else 1


if __name__ == '__main__':
    sys.exit(main())
