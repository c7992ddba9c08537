"""Rates of programs beside each other: rate_table.py FOLDER WHAT collects a record, writes it, and prints its page.

A line of FOLDER/rows.tsv is a case, a program and the row of JSON that it printed, with tabs between. Of the first round
of a program only its boxes are used: counting them takes time. Figures are medians of the other rounds, with the lowest
and highest; a ratio is of one round, a program's frames a second over the peer's.
"""
import json, os, statistics, sys

import record
from record import markdown, numbers, ratios, spread

COLUMNS = 'case program round frames fps cpu_ms boxes pixels_ms model_ms boxes_ms'.split()
# Frames a second over the peer's that are aimed at, by engine.
AIMS = {'Python': {'tract': 1.6, 'onnxruntime': 1.3}, 'onnxinference': {'tract': 2.5, 'onnxruntime': 1.5}}


def collect(path):
    seen, rows = {}, []
    for line in open(path):
        case, program, text = line.rstrip('\n').split('\t')
        row, number = json.loads(text), seen.get((case, program), 0)
        seen[case, program] = number + 1
        stages = row.get('stages', {})
        values = [case, program, number, row['frames'], f'{row["fps"]:.3f}', f'{row["cpu"]:.3f}', row.get('boxes', ''),
                  *(f'{stages[name]:.3f}' if name in stages else '' for name in ('pixels', 'model', 'boxes'))]
        rows.append(dict(zip(COLUMNS, values)))
    return rows


class Rates:
    """Rows by case and program."""

    def __init__(self, record_):
        self.rows, self.peer = record_.rows, record_.get('peer')
        self.cases = list(dict.fromkeys(row['case'] for row in self.rows))

    def programs(self, case):
        return list(dict.fromkeys(row['program'] for row in self.rows if row['case'] == case))

    def values(self, case, program, column):
        """Of the rounds that are measured: without the first, in which boxes are counted."""
        rows = [row for row in self.rows if (row['case'], row['program']) == (case, program)]
        return numbers(rows[1:], column)

    def boxes_a_frame(self, case, program):
        first = next(row for row in self.rows if (row['case'], row['program']) == (case, program))
        return f'{int(first["boxes"]) / int(first["frames"]):.2f}' if first['boxes'] else '-'

    def stages(self, case, program):
        named = [(name, self.values(case, program, f'{name}_ms')) for name in ('model', 'pixels', 'boxes')]
        told = [f'{name} {statistics.median(values):.2f}' for name, values in named if record.usable(values)]
        return ', '.join(told) or '-'

    def over_peer(self, case, program):
        return ratios(self.values(case, program, 'fps'), self.values(case, self.peer, 'fps'))


def verdict(peer, case, program, values):
    """Whether an aim is reached; None for a program without one."""
    aim = next((aim for engine, aim in AIMS[peer].items() if f'engine={engine}' in program.split()), None)
    if aim is None or not values:
        return None
    median = statistics.median(values)
    return f'- {case}, {program}: {median:.2f}, aim {aim}: {"reached" if median >= aim else "missed"}\n'


def page(record_):
    rates = Rates(record_)
    lines, verdicts = [], []
    for case in rates.cases:
        for program in rates.programs(case):
            over = rates.over_peer(case, program)
            lines.append([case, program, spread(rates.values(case, program, 'fps')),
                          '-' if program == rates.peer else spread(over, 2), spread(rates.values(case, program, 'cpu_ms')),
                          rates.boxes_a_frame(case, program), rates.stages(case, program)])
            verdicts.append(verdict(rates.peer, case, program, over))
    header = ['case', 'program', 'frames a second', f'over {rates.peer}', 'processor ms a frame', 'boxes a frame', 'stages, ms']
    return (record.head(record_) + '\nMedians of the rounds, with the lowest and highest.\n\n' + markdown(header, lines) +
            f'\nTimes as fast as {rates.peer}:\n\n' + ''.join(filter(None, verdicts)))


def main(folder, what):
    rows = collect(os.path.join(folder, 'rows.tsv'))
    print(record.Record(record.finish(folder), COLUMNS, rows).save(what), end='')


if __name__ == '__main__':
    main(*sys.argv[1:])
