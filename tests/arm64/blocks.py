"""Counts of executed instructions under qemu: runs programs with the plugin blocks.c, and names the functions they were in."""

import bisect
import collections
import pathlib
import re
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


def build_plugin(work):
    """Compiles the plugin into `work` and returns its path."""
    plugin = work / "blocks.so"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", str(HERE / "blocks.c"), "-o", str(plugin)], check=True)
    return plugin


class Counts:
    """Executed blocks of one run: `blocks[(file, offset in its memory, instructions)]` is how often that block ran."""

    def __init__(self, path):
        maps, base, self.blocks = [], {}, collections.Counter()
        for line in open(path, errors="replace"):
            kind, *rest = line.split()
            if kind == "map":
                start, end, _ = (int(value, 16) for value in rest[:3])
                name = " ".join(rest[3:])
                # the lowest address that a file is mapped at: its symbols count from there
                base[name] = min(start, base.get(name, start))
                maps.append((start, end, name))
            else:
                address, n, times = int(rest[0], 16), int(rest[1]), int(rest[2])
                name = self._file(maps, address)
                self.blocks[(name, address - base.get(name, 0), n)] += times

    @staticmethod
    def _file(maps, address):
        at = bisect.bisect_right(maps, address, key=lambda m: m[0]) - 1
        return maps[at][2] if at >= 0 and address < maps[at][1] else ""

    def instructions(self):
        return sum(n * times for (_, _, n), times in self.blocks.items())

    def less(self, other, runs):
        """The blocks of one of the `runs` more runs that this has than `other`."""
        left = {key: (times - other.blocks.get(key, 0)) / runs for key, times in self.blocks.items()}
        return {key: times for key, times in left.items() if times}


class Symbols:
    """Functions of a file by address."""

    def __init__(self, path):
        self.names = []
        for table in ([], ["-D"]):
            run = subprocess.run(["aarch64-linux-gnu-nm", "-C", *table, str(path)], capture_output=True, text=True)
            for line in run.stdout.splitlines():
                if match := re.match(r"([0-9a-f]+) [tTwWi] (.*)", line):
                    self.names.append((int(match[1], 16), match[2]))
            if self.names:
                break
        self.names.sort()

    def name(self, address):
        at = bisect.bisect_right(self.names, address, key=lambda n: n[0]) - 1
        return self.names[at][1] if at >= 0 else "?"


def by_function(blocks):
    """Instructions of each function: `{(file, function): instructions}`."""
    symbols, functions = {}, collections.Counter()
    for (file, offset, n), times in blocks.items():
        if file not in symbols:
            symbols[file] = Symbols(file) if file else None
        name = symbols[file].name(offset) if file else "?"
        functions[(pathlib.Path(file).name, name)] += n * times
    return functions
