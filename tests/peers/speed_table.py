"""README's table of speed, from the newest records: speed_table.py [--check | --write] [README]

Prints it in Markdown. --check fails unless README has it between its two marker lines; --write puts it there.
"""
import glob, os, statistics, sys

import record
from model_table import OURS, Times
from rate_table import Rates
from record import geometric_mean, markdown

BEGIN, END = '<!-- speed table: tests/benches/speed_table.sh -->', '<!-- end of speed table -->'
FIGURES = os.environ.get('FIGURES') or record.FIGURES
# Models that README shows, where the record has them; the mean is of all models of the record.
SHOWN = ['yunet_n_320', 'nanodet_m_320', 'yolox_nano_416', 'yolov8n_320_random']
HOW = 'measure with tests/bench_{}.sh, which writes it'


def newest(what):
    """Path and content of the newest record, by its date; None where there is none."""
    found = [(record.Record.read(path), path) for path in glob.glob(os.path.join(FIGURES, '*', f'{what}.tsv'))]
    return max(found, key=lambda pair: (pair[0].get('date'), pair[1]), default=(None, None))


def link(path, text):
    return f'[{text}]({os.path.relpath(path, record.ROOT).removesuffix(".tsv")}.md)'


def models(record_, path):
    """Medians of our engines and of the fastest other one, with the ratio of tract to that one."""
    times, lines = Times(record_), []
    against = times.against_best()
    if not against:
        sys.exit(f'{path}: no model was run both by tract and by another engine')
    ours = [name for name in OURS if any(row['engine'] == name and row['median_ms'] for row in record_.rows)]
    cell = lambda values: f'{statistics.median(values):.1f}' if record.usable(values) else '-'
    for model in [model for model in SHOWN if model in against] or against:
        name, median = times.fastest(model)
        ratios = against[model]
        lines.append([model, *(cell(times.ours(model, engine)) for engine in ours), f'{name} {median:.1f}',
                      f'{statistics.median(ratios):.2f}'])
    mean = geometric_mean([statistics.median(ratios) for ratios in against.values()])
    lines.append([f'geometric mean of {len(against)}', *[''] * (len(ours) + 1), f'{mean:.2f}'])
    others = list(dict.fromkeys(name for model in against for name in times.theirs(model)))
    head = (f'Milliseconds for one inference, threads: {record_.get("threads")}. {record_.get("processor")}, '
            f'{record_.get("date")}\n({link(path, "record")}).\n"Fastest other" is the fastest of {", ".join(others)} on the '
            "author's file.\n\n")
    header = ['model', *(f'`{engine}`' for engine in ours), 'fastest other', '`tract` : other']
    return head + markdown(header, lines)


def pipelines(record_, path):
    """A sentence on the whole pipeline; the lowest and the highest of its cases on one thread."""
    rates = Rates(record_)
    found = {}
    for case in rates.cases:
        for program in rates.programs(case):
            over = rates.over_peer(case, program)
            if case.endswith('threads 1') and program.startswith('detect engine=') and over:
                engine = program.split()[1].removeprefix('engine=')
                found.setdefault(engine, []).append(statistics.median(over))
    told = [f'`{engine}` {min(values):.2f} to {max(values):.2f}' for engine, values in found.items()]
    return (f'\nFrames a second of the whole pipeline, over a loop in Python with ONNX Runtime\n({link(path, "record")}):\n'
            f'{", ".join(told)}.\n') if told else ''


def table():
    record_, path = newest('models')
    if record_ is None:
        sys.exit(f'There is no record of models in {FIGURES}; ' + HOW.format('models'))
    if record_.get('commit').endswith('-dirty'):
        print(f'{path}: measured with changes that are not committed ({record_.get("commit")})', file=sys.stderr)
    text = models(record_, path)
    record_, path = newest('pipelines')
    return text + (pipelines(record_, path) if record_ else '')


def between_markers(readme):
    """What is before, between and after the markers."""
    with open(readme) as file:
        text = file.read()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        sys.exit(f'{readme} needs a line "{BEGIN}" once, and after it a line "{END}" once')
    before, rest = text.split(BEGIN)
    inside, after = rest.split(END)
    return before, inside, after


def main(words):
    option = words.pop(0) if words and words[0].startswith('--') else None
    readme = words[0] if words else os.path.join(record.ROOT, 'README.md')
    if option is None:
        print(table(), end='')
    elif option == '--check':
        if between_markers(readme)[1].strip() != table().strip():
            sys.exit(f'{readme}: its table of speed is not that of the newest record; run tests/benches/speed_table.sh --write')
    elif option == '--write':
        before, _, after = between_markers(readme)
        text = f'{before}{BEGIN}\n{table()}\n{END}{after}'
        with open(readme, 'w') as file:
            file.write(text)
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main(sys.argv[1:])
