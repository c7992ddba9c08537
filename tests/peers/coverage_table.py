"""What the executor runs of models: coverage_table.py FOLDER collects a record, writes it, and prints its page.

A line of FOLDER/rows.jsonl is a row of benches/models.rs, whose reason says which share of the multiply-adds and of the time
is inside of the executor, and why the rest is not.
"""
import json, os, re, sys

import record
from record import markdown

COLUMNS = 'model input ms multiply_adds time networks outside'.split()
LEAST = 95.0
SHARES = re.compile(r'our executor computes ([0-9.]+) % of the multiply-adds(?: in ([0-9.]+) % of the time)?'
                    r'(?:, in (\d+) networks)?')


def collect(path):
    rows = []
    for line in open(path):
        row = json.loads(line)
        reason = row['reason'].get('tract', '')
        found = SHARES.search(reason)
        if not found and 'tract computes everything' not in reason:
            sys.exit(f'{row["model"]}: "{reason}" does not say what the executor computes')
        shares = (found[1], found[2] or '100.0', found[3] or '1') if found else ('0.0', '0.0', '0')
        # what is behind the shares: the operators outside, with their shares and reasons
        _, _, outside = reason.partition('; tract the rest: ' if found else 'tract computes everything: ')
        rows.append(dict(zip(COLUMNS, [row['model'].removesuffix('.onnx'), row['input'], row['tract'], *shares,
                                       outside.replace('\t', ' ')])))
    return sorted(rows, key=lambda row: row['model'])


def is_covered(row):
    return min(float(row['multiply_adds']), float(row['time'])) >= LEAST


def page(record_):
    text = record.head(record_)
    text += ('\nShares of the multiply-adds, and of the time of one inference by one thread, that are inside of the executor. Times '
             'of the rest include copies between tract and the executor.\n\n')
    lines = [[row['model'], row['input'], row['ms'], row['multiply_adds'], row['time'], row['networks']]
             for row in record_.rows]
    text += markdown(['model', 'input', 'ms', 'multiply-adds, %', 'time, %', 'networks'], lines)
    below = [row for row in record_.rows if not is_covered(row)]
    text += f'\n{len(record_.rows) - len(below)} of {len(record_.rows)} models have at least {LEAST:.0f} % of both inside.\n'
    if below:
        text += '\nThe others, and what tract computes of them:\n\n'
        text += ''.join(f'- {row["model"]}: {row["outside"]}\n' for row in below)
    return text


def main(folder):
    rows = collect(os.path.join(folder, 'rows.jsonl'))
    print(record.Record(record.finish(folder), COLUMNS, rows).save('coverage'), end='')


if __name__ == '__main__':
    main(*sys.argv[1:])
