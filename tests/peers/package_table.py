"""Debian packages in clean systems: package_table.py FOLDER collects the rows that pipelines/packages/check.sh has left in
FOLDER (*.row), writes the record, and prints its page."""
import glob, os, sys

import record
from record import markdown

COLUMNS = ('system architecture emulated commit package_kb installed_kb others others_kb install_seconds boxes_seconds trials '
           'depends').split()


def number(row, column, per=1, digits=1):
    return f'{float(row[column]) / per:.{digits}f}'


def page(record_):
    lines = [[row['system'], row['architecture'] + (', emulated' if row['emulated'] == 'yes' else ''), row['commit'],
              number(row, 'package_kb', 1000), number(row, 'installed_kb', 1000), row['others'],
              number(row, 'others_kb', 1000, 0), number(row, 'install_seconds'), number(row, 'boxes_seconds'), row['trials']]
             for row in record_.rows]
    text = record.head(record_) + '\n' + markdown(
        ['system', 'architecture', 'commit', 'package, MB', 'installed, MB', 'packages with it', 'their size, MB', 'install, s',
         'boxes, s', 'trials passed'], lines)
    text += ('\n"Packages with it" came along because the package depends on them or recommends them; a system with a desktop '
             'has most of them already.\n"Install" is the time of `apt-get install`, downloads included, and "boxes" that until '
             'the demo has found the face.\n')
    for row in record_.rows:
        text += f'\n{row["system"]}, {row["architecture"]}, depends on: {row["depends"]}\n'
    return text


def main(folder):
    rows = [dict(zip(COLUMNS, open(path).read().rstrip('\n').split('\t')))
            for path in sorted(glob.glob(os.path.join(folder, '*.row')), key=lambda path: os.path.basename(path).split('-')[::-1])]
    if not rows:
        sys.exit(f'{folder} has no rows; run pipelines/packages/check.sh first')
    record.begin(folder, 'Debian packages in clean systems', 'way=pipelines/packages/check.sh; commit of each package in its row')
    print(record.Record(record.finish(folder), COLUMNS, rows).save('packages'), end='')


if __name__ == '__main__':
    main(*sys.argv[1:])
