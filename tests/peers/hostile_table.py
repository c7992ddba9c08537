"""Hostile models: hostile_table.py FOLDER collects a record, writes it, and prints its page; hostile_table.py run ... makes
the rows (see tests/hostile.sh).

    hostile_table.py run FOLDER BENCH PLUGIN_FOLDER PIPELINES ENGINE...

runs every file of FOLDER/files.tsv (path, kind, faults) through `BENCH inspect` with each engine, and the first PIPELINES
mutants through a pipeline too, each with little address space and 10 s. It appends to FOLDER/rows.tsv, prints what went
wrong, and fails if anything did.
"""
import collections, concurrent.futures, os, re, resource, signal, subprocess, sys, time

import record
from record import markdown

COLUMNS = 'kind way engine file outcome seconds message faults'.split()
SECONDS = 10
# Address space in GiB. ONNX Runtime and OpenVINO reserve more than they take.
GIBIBYTES = {'tract': 3}
OTHERS = 6


def command(way, engine, path, bench):
    if way == 'inspect':
        return [bench, 'inspect', '--engine', engine, path]
    return ['gst-launch-1.0', '-q', 'videotestsrc', 'num-buffers=2', '!', 'video/x-raw,width=64,height=48', '!', 'detect',
            f'model={path}', f'engine={engine}', 'mode=every', '!', 'fakesink']


def run(way, engine, path, bench):
    """Outcome, seconds and the last line of what was said."""
    limit = GIBIBYTES.get(engine, OTHERS) << 20
    began = time.monotonic()
    child = subprocess.Popen(['sh', '-c', f'ulimit -v {limit}; exec "$@"', 'sh', *command(way, engine, path, bench)],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                             start_new_session=True)
    try:
        said = child.communicate(timeout=SECONDS)[1]
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return 'hang', SECONDS, ''
    lines = [line for line in said.decode(errors='replace').splitlines() if line.strip()]
    message = ' '.join(re.sub(r'\x1b\[[0-9;]*m', '', lines[-1] if lines else '').split())[:160]
    return outcome(way, child.returncode), time.monotonic() - began, message.replace(os.path.dirname(path), 'FOLDER')


def outcome(way, status):
    """Statuses: of inspect 2 is no model and 3 a model that the engine cannot run, of gst-launch-1.0 1 and 255 an error."""
    if status == 0:
        return 'runs'
    if status in ((2, 3) if way == 'inspect' else (1, 255)):
        return 'refused'
    if status < 0 or 128 < status < 193:
        number = -status if status < 0 else status - 128
        return f'signal {number}'
    return f'status {status}'


def is_bad(row):
    return row['outcome'] not in ('runs', 'refused')


def cases(files, pipelines, engines):
    mutants = [file for file in files if file[1] == 'mutant']
    piped = {path for path, *_ in mutants[:pipelines]}
    for path, kind, faults in files:
        for way in ('inspect', 'pipeline') if path in piped else ('inspect',):
            for engine in engines:
                yield path, kind, faults, way, engine


def run_all(folder, bench, pipelines, engines):
    with open(os.path.join(folder, 'files.tsv')) as file:
        files = [line.rstrip('\n').split('\t') for line in file]

    def row(case):
        path, kind, faults, way, engine = case
        result, seconds, message = run(way, engine, path, bench)
        return dict(zip(COLUMNS, (kind, way, engine, os.path.basename(path), result, f'{seconds:.1f}', message, faults)))

    # One for each processor: with more, those that load slowly would miss their time.
    workers = len(os.sched_getaffinity(0))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        rows = list(pool.map(row, cases(files, pipelines, engines)))
    with open(os.path.join(folder, 'rows.tsv'), 'w') as file:
        file.writelines('\t'.join(one[column] for column in COLUMNS) + '\n' for one in rows)
    for one in filter(is_bad, rows):
        print(*(one[column] for column in COLUMNS), sep=' | ')
    return sum(map(is_bad, rows)), len(rows)


def page(record_):
    rows = record_.rows
    engines = list(dict.fromkeys(row['engine'] for row in rows))
    groups = list(dict.fromkeys((row['kind'], row['way']) for row in rows))
    lines = []
    for kind, way in groups:
        for engine in engines:
            of = [row for row in rows if (row['kind'], row['way'], row['engine']) == (kind, way, engine)]
            count = collections.Counter(row['outcome'] for row in of)
            longest = max((float(row['seconds']) for row in of), default=0)
            bad = sum(map(is_bad, of))
            lines.append([kind, way, engine, str(len(of)), str(count['runs']), str(count['refused']), str(bad),
                          f'{longest:.1f}'])
    text = record.head(record_) + '\n' + markdown('files through engine number runs refused broken longest,&nbsp;s'.split(), lines)
    bad = [row for row in rows if is_bad(row)]
    text += f'\n{len(rows)} runs, {len(bad)} broken: ended by a signal, with another status, or after {SECONDS} s.\n'
    if bad:
        text += '\n' + markdown(COLUMNS[:6] + ['faults'], [[row[c] for c in COLUMNS[:6] + ['faults']] for row in bad])
    return text


def main(arguments):
    if arguments[:1] == ['run'] and len(arguments) >= 6:
        folder, bench, plugins, pipelines, *engines = arguments[1:]
        os.environ.update(GST_PLUGIN_PATH=plugins, GST_REGISTRY=os.path.join(folder, 'registry'),
                          XDG_CACHE_HOME=os.path.join(folder, 'cache'))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        subprocess.run(['gst-inspect-1.0', 'detect'], stdout=subprocess.DEVNULL, check=True)
        bad, all_ = run_all(folder, bench, int(pipelines), engines)
        print(f'{all_} runs, {bad} broken', file=sys.stderr)
        return bool(bad)
    if len(arguments) == 1:
        folder = arguments[0]
        with open(os.path.join(folder, 'rows.tsv')) as file:
            rows = [dict(zip(COLUMNS, line.rstrip('\n').split('\t'))) for line in file]
        print(record.Record(record.finish(folder), COLUMNS, rows).save('hostile'))
        return False
    sys.exit(__doc__)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
