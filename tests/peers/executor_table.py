"""Threads and kernels of the built-in engine: executor_table.py FOLDER collects a record, writes it, and prints its page.

A line of FOLDER/rows.tsv is a case, a round and the row of JSON that benches/models.rs or benches/peak.rs printed, with tabs
between. Rates are of the mean time of a run; a ratio is of one round.
"""
import json, os, statistics, sys

import record
from record import markdown, ratios, spread

COLUMNS = 'case model round mean_ms median_ms peak_avx2 peak_avx512'.split()
AIM_PAIR, AIM_BUSY, AIM_KERNELS = 0.85, 1.10, 1.25


def collect(path):
    rows = []
    for line in open(path):
        case, number, text = line.rstrip('\n').split('\t')
        row = json.loads(text)
        if case == 'peak':
            rows.append({'case': case, 'model': '', 'round': number, 'mean_ms': '', 'median_ms': '',
                         'peak_avx2': row.get('avx2', ''), 'peak_avx512': row.get('avx512', '')})
        else:
            rows.append({'case': case, 'model': row['model'].removesuffix('.onnx'), 'round': number,
                         'mean_ms': row['mean']['tract'], 'median_ms': row['tract']})
    return rows


class Rows:
    def __init__(self, record_):
        self.rows = record_.rows
        self.models = list(dict.fromkeys(row['model'] for row in self.rows if row['model']))
        self.rounds = list(dict.fromkeys(row['round'] for row in self.rows))

    def values(self, model, case, column='mean_ms'):
        """One list of numbers for each round."""
        of_round = lambda number: [float(row[column]) for row in self.rows if row['round'] == number and
                                   (row['model'], row['case']) == (model, case) and row[column]]
        return [of_round(number) for number in self.rounds]

    def times(self, model, case, column='mean_ms'):
        values = self.values(model, case, column)
        return [times[0] for times in values] if all(values) else []

    def rates(self, model, case):
        """Frames a second in every round, of all processes together."""
        values = self.values(model, case)
        return [sum(1e3 / ms for ms in times) for times in values] if all(values) else []

    def peak_ratio(self):
        over = ratios(self.times('', 'peak', 'peak_avx512'), self.times('', 'peak', 'peak_avx2'))
        return statistics.median(over) if over else None


def verdict(name, values, aim, reached):
    return f'- {name}: {statistics.median(values):.2f}, aim {aim}: {"reached" if reached else "missed"}\n' if values else ''


def threads_table(rows):
    lines, verdicts = [], ''
    for model in rows.models:
        one, pair, two = (rows.rates(model, case) for case in ('one', 'pair', 'two'))
        of_pair = ratios(two, pair)
        beside = ratios(rows.times(model, 'busy-two'), rows.times(model, 'busy-one'))
        lines.append([model, spread(one), spread(pair), spread(two), spread(ratios(two, one), 2), spread(of_pair, 2),
                      spread(beside, 2)])
        verdicts += verdict(f'{model}, two threads over two processes', of_pair, f'at least {AIM_PAIR}',
                            statistics.median(of_pair) >= AIM_PAIR)
        verdicts += verdict(f'{model}, beside a loop: time of two threads over one', beside, f'at most {AIM_BUSY}',
                            statistics.median(beside) <= AIM_BUSY)
    header = ['model', 'one thread', 'two processes', 'two threads', 'two over one', 'over two processes',
              'beside a loop, time of two over one']
    return markdown(header, lines), verdicts


def kernels_table(rows):
    lines, verdicts, peak = [], '', rows.peak_ratio()
    for model in rows.models:
        times = {case: rows.times(model, case, 'median_ms') for case in ('avx512', 'avx2', 'scalar')}
        over = ratios(times['avx2'], times['avx512'])
        lines.append([model, *(spread(times[case]) for case in times), spread(over, 2),
                      spread(ratios(times['scalar'], times['avx2']), 2)])
        if over and peak:
            aim = AIM_KERNELS * peak
            verdicts += verdict(f'{model}, AVX2 over AVX-512', over, f'at most {aim:.2f}', statistics.median(over) <= aim)
    return markdown(['model', 'AVX-512, ms', 'AVX2, ms', 'scalar, ms', 'AVX2 over AVX-512', 'scalar over AVX2'], lines), verdicts


def page(record_):
    rows = Rows(record_)
    threads, of_threads = threads_table(rows)
    kernels, of_kernels = kernels_table(rows)
    peaks = [spread(rows.times('', 'peak', f'peak_{name}')) for name in ('avx512', 'avx2')]
    return (record.head(record_) + '\nMedians of the rounds, with the lowest and highest.\n\n## Threads\n\n'
            'Frames a second. "Two processes" have one thread each and run at the same time. "Beside a loop" keeps the first '
            'processor busy.\n\n' + threads +
            '\n## Kernels\n\nOne thread. Thousand millions of multiply-adds a second of one core, from registers alone: '
            f'AVX-512 {peaks[0]}, AVX2 {peaks[1]}. AVX2 is to take at most {AIM_KERNELS} times the ratio of the two.\n\n' +
            kernels + '\n' + of_threads + of_kernels)


def main(folder):
    rows = collect(os.path.join(folder, 'rows.tsv'))
    print(record.Record(record.finish(folder), COLUMNS, rows).save('executor'), end='')


if __name__ == '__main__':
    main(*sys.argv[1:])
