"""Rates of programs beside each other, in Markdown: rate_table.py FILE BAR PEER

A line of FILE is a case, a program and the row of JSON that it printed, with tabs between; the rounds of a case lie
beside each other. Of the first round of a program only its boxes count: counting them takes time. Figures are medians of
the others, with the lowest and highest of them; a ratio is the median of the rounds' ratios, a program's rate over that of
the program PEER, and at least BAR is asked for, but of those whose names begin as PEER's.
"""
import json, statistics, sys


def read(path):
    """Case -> program -> rows."""
    cases = {}
    for line in open(path):
        case, program, row = line.rstrip('\n').split('\t')
        cases.setdefault(case, {}).setdefault(program, []).append(json.loads(row))
    return cases


def values(rows, field):
    return [row[field] for row in rows[1:]]


def spread(numbers, digits=1):
    return f'{statistics.median(numbers):.{digits}f} ({min(numbers):.{digits}f} to {max(numbers):.{digits}f})'


def boxes(rows):
    return f'{rows[0]["boxes"] / rows[0]["frames"]:.2f}' if 'boxes' in rows[0] else '-'


def stages(rows):
    """What the element itself says of where its time goes."""
    found = [row['stages'] for row in rows[1:] if row.get('stages')]
    names = found[0] if found else []
    return ', '.join(f'{name} {statistics.median(row[name] for row in found):.2f}' for name in names) or '-'


def main(path, bar, peer):
    print(f'| case | program | frames a second | over {peer}\'s | processor ms a frame | boxes a frame | stages, ms |')
    print('| --- | --- | --- | --- | --- | --- | --- |')
    verdicts = []
    for case, programs in read(path).items():
        for program, rows in programs.items():
            ratio = '-'
            if program != peer:
                ratios = [a / b for a, b in zip(values(rows, 'fps'), values(programs[peer], 'fps'))]
                ratio = spread(ratios, 2)
                if not program.startswith(peer):
                    verdicts.append(f'{case}, {program}: {statistics.median(ratios):.2f}, '
                                    f'{"reached" if statistics.median(ratios) >= bar else "missed"}')
            cells = [case, program, spread(values(rows, 'fps')), ratio, spread(values(rows, 'cpu')), boxes(rows), stages(rows)]
            print('| ' + ' | '.join(cells) + ' |')
    print(f'\nAt least {bar} times as fast as {peer}: ' + '; '.join(verdicts) + '.')


if __name__ == '__main__':
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
