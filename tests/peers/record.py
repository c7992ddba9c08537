"""Records of measurements: a file of raw rows (.tsv) and the page (.md) that is made from it.

    record.py begin FOLDER TITLE [KEY=VALUE]...   notes commit, machine and load in FOLDER/header.txt, before measuring
    record.py page FILE.tsv                       prints the page of a record
    record.py check [FOLDER]                      fails if a page is not what its rows give, or is not listed

A record lies in tests/benches/figures/<date>-<machine>/ (FIGURES names another folder, MACHINE another name). Its .tsv
begins with lines `# key: value`, then has a line of column names and a line for each row; an empty field was not
measured. The name of the file says what was measured, and which program makes its page.
"""
import datetime, glob, importlib, math, os, platform, re, statistics, subprocess, sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))
FIGURES = os.path.join(ROOT, 'tests/benches/figures')
# Instruction sets that change which kernels an engine takes.
FLAGS = ('sse4_2 avx avx2 fma avx512f avx512_vnni avx512_bf16 avx512_fp16 avx_vnni amx_int8 amx_bf16 '
         'neon asimd asimddp asimdhp i8mm sve sve2 bf16').split()
# File name -> module with a function `page`.
PAGES = {'models': 'model_table', 'pipelines': 'rate_table', 'onnxinference': 'rate_table', 'pixels': 'pixels_table',
         'executor': 'executor_table', 'hostile': 'hostile_table', 'rtdetr': 'model_table',
         'networks': 'model_table', 'coverage': 'coverage_table'}


def read_text(path):
    try:
        with open(path) as file:
            return file.read().strip('\0\n ')
    except OSError:
        return ''


def cpuinfo(*names):
    """The value of the first line of /proc/cpuinfo that has one of these names."""
    found = dict(re.findall(r'^([^\t:]+)\t*: (.*)$', read_text('/proc/cpuinfo').split('\n\n')[0], re.M))
    return next((found[name] for name in names if name in found), '')


def processor():
    return cpuinfo('model name') or read_text('/proc/device-tree/model') or platform.machine()


def machine():
    """What a reader must know of this machine, as a list of keys and values."""
    present = cpuinfo('flags', 'Features').split()
    usable, online = len(os.sched_getaffinity(0)), os.cpu_count()
    system = re.search(r'^PRETTY_NAME="?([^"\n]*)', read_text('/etc/os-release'), re.M)
    governor = read_text('/sys/devices/system/cpu/cpufreq/policy0/scaling_governor')
    return [('processor', processor()),
            ('processors', f'{usable}' if usable == online else f'{usable} of {online}'),
            ('flags', ' '.join(flag for flag in FLAGS if flag in present)),
            ('system', f'{system[1] if system else "unknown"}, Linux {platform.release()}'),
            *([('governor', governor)] if governor else [])]


def machine_name():
    """A short name for folders, with the number of processors: xeon-2, raspberry-pi-5-model-b-4."""
    name = re.sub(r'\((R|TM|C)\)|@.*|\bRev .*|\b(CPU|Processor|Intel|AMD)\b|\d+-Core', '', processor(), flags=re.I)
    short = re.sub('[^a-z0-9]+', '-', name.lower()).strip('-') or platform.machine()
    return os.environ.get('MACHINE') or f'{short}-{len(os.sched_getaffinity(0))}'


def commit():
    """The commit that was measured, with -dirty if files that count for a measurement differ from it."""
    git = lambda *words: subprocess.run(['git', '-C', ROOT, *words], capture_output=True, text=True).stdout.strip()
    head = git('rev-parse', '--short', 'HEAD')
    changed = git('status', '--porcelain', '--', 'src', 'tests', 'Cargo.toml', 'Cargo.lock', 'build.rs',
                  ':!tests/benches/figures')
    return f'{head}-dirty' if head and changed else head or 'unknown'


def load():
    return read_text('/proc/loadavg').split(' ')[0]


class Record:
    """Header: a list of keys and values. Rows: dictionaries of texts, by column."""

    def __init__(self, header, columns, rows):
        self.header, self.columns, self.rows = header, columns, rows

    @classmethod
    def read(cls, path):
        with open(path) as file:
            lines = file.read().splitlines()
        header = [tuple(line[2:].split(': ', 1)) for line in lines if line.startswith('# ')]
        columns, *rows = [line.split('\t') for line in lines if not line.startswith('#')]
        return cls(header, columns, [dict(zip(columns, row)) for row in rows])

    def get(self, key, default=''):
        return next((value for name, value in self.header if name == key), default)

    def text(self):
        lines = [f'# {key}: {value}' for key, value in self.header]
        lines += ['\t'.join(self.columns)]
        lines += ['\t'.join(str(row.get(column, '')) for column in self.columns) for row in self.rows]
        return '\n'.join(lines) + '\n'

    def save(self, what):
        """Writes rows and page, lists them in the README of all records, and returns the page."""
        figures = os.environ.get('FIGURES') or FIGURES
        folder = os.path.join(figures, f'{self.get("date")}-{self.get("machine")}')
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f'{what}.tsv')
        with open(path, 'w') as file:
            file.write(self.text())
        with open(path.replace('.tsv', '.md'), 'w') as file:
            file.write(page(path))
        self.add_to_list(os.path.join(figures, 'README.md'), os.path.relpath(path, figures).replace('.tsv', '.md'))
        print(f'Wrote {path} and the page beside it.', file=sys.stderr)
        return page(path)

    def add_to_list(self, readme, page_path):
        """Adds a line for the record, the newest first, unless it is there or there is no list."""
        text = read_text(readme)
        if not text or f'({page_path})' in text:
            return
        line = f'- [{self.get("date")}, {self.get("machine")}]({page_path}): {self.get("title")}\n'
        first = re.search('^- ', text, re.M)
        at = first.start() if first else len(text)
        with open(readme, 'w') as file:
            file.write(f'{text[:at]}{line}{text[at:]}\n')


def begin(folder, title, *pairs):
    header = [('title', title), ('date', datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d')),
              ('commit', commit()), ('machine', machine_name()), *machine(),
              ('build', 'release profile'), *(pair.split('=', 1) for pair in pairs),
              ('load', f'{load()} at the start')]
    with open(os.path.join(folder, 'header.txt'), 'w') as file:
        file.writelines(f'{key}: {value}\n' for key, value in header)


def finish(folder, *more):
    """The header that `begin` noted, the load of every round, what was skipped, and `more`."""
    header = [tuple(line.split(': ', 1)) for line in read_text(os.path.join(folder, 'header.txt')).splitlines()]
    loads = read_text(os.path.join(folder, 'loads.txt')).split()
    rounds = f'; by round {" ".join(loads)}' if loads else ''
    skipped = sorted(set(filter(None, read_text(os.path.join(folder, 'skipped.txt')).splitlines())))
    return [(key, f'{value}{rounds}; {load()} at the end' if key == 'load' else value) for key, value in header] + \
        list(more) + [('skipped', line) for line in skipped]


def numbers(rows, column):
    """Values of a column, None where it was not measured."""
    return [float(row[column]) if row[column] else None for row in rows]


def usable(values):
    return bool(values) and None not in values


def ratios(upper, lower):
    """Ratios within a round; none where one side was not measured in every round."""
    return [a / b for a, b in zip(upper, lower)] if usable(upper) and usable(lower) else []


def spread(values, digits=1):
    """Median, and the lowest and highest round."""
    if not usable(values):
        return '-'
    return f'{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})'


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def markdown(header, lines):
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in [header, ['---'] * len(header), *lines]) + '\n'


def head(record):
    """The beginning of every page."""
    facts = [(key, value) for key, value in record.header if key not in ('title', 'skipped', 'machine')]
    skipped = [value for key, value in record.header if key == 'skipped']
    text = f'# {record.get("title")}\n\n' + markdown(['', ''], facts)
    if skipped:
        text += '\nNot measured:\n' + ''.join(f'- {line}\n' for line in skipped)
    return text


def page(path):
    what = os.path.basename(path).removesuffix('.tsv')
    if what not in PAGES:
        sys.exit(f'{path}: no program makes a page of {what}, expected one of {", ".join(PAGES)}')
    return importlib.import_module(PAGES[what]).page(Record.read(path))


def check(folder=FIGURES):
    """Ends with 0 only if every page is what its rows give, and the list of records has it."""
    records = sorted(glob.glob(os.path.join(folder, '*', '*.tsv')))
    listed = read_text(os.path.join(folder, 'README.md'))
    wrong = []
    for path in records:
        page_path = path.replace('.tsv', '.md')
        if read_text(page_path) != page(path).strip():
            wrong.append(f'{page_path} is not what {path} gives; write it with tests/peers/record.py page {path}')
        if f'({os.path.relpath(page_path, folder)})' not in listed:
            wrong.append(f'{page_path} is not in the list of {folder}/README.md')
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    print(f'{len(records)} records with rows in {folder}, {len(wrong)} findings')
    sys.exit(1 if wrong else 0)


if __name__ == '__main__':
    commands = {'begin': begin, 'page': lambda path: print(page(path), end=''), 'check': check}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
