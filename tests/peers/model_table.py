"""The record of tests/bench_models.sh: model_table.py FOLDER collects it, writes it, and prints its page.

FOLDER has rows of JSON, one for each model and round, in ours.jsonl (our engines), theirs.jsonl (others on the author's
file) and prepared.jsonl (others on the graph that our engines get).
"""
import json, os, statistics, sys

import record
from record import geometric_mean, markdown, numbers, ratios, spread, usable

COLUMNS = 'round model input threads engine graph median_ms p10_ms p90_ms'.split()
OURS = ['tract', 'onnxruntime', 'openvino']
# Name in model_time.py -> name for people.
THEIRS = {'onnxruntime': 'ONNX Runtime', 'openvino-f32': 'OpenVINO', 'ncnn': 'ncnn', 'opencv': 'OpenCV'}
AUTHORS, PREPARED = "author's file", 'prepared'


def collect(folder):
    """Rows of all files, in the order of the rounds."""
    rows = []
    for name, graph, engines in [('ours', PREPARED, {name: name for name in OURS}), ('theirs', AUTHORS, THEIRS),
                                 ('prepared', PREPARED, THEIRS)]:
        path, seen = os.path.join(folder, f'{name}.jsonl'), {}
        for line in open(path) if os.path.exists(path) else []:
            row = json.loads(line)
            seen[row['model']] = seen.get(row['model'], 0) + 1
            for engine in engines.keys() & row.keys():
                low, high = row.get('spread', {}).get(engine, ['', ''])
                median = '' if row[engine] is None else row[engine]
                rows.append(dict(zip(COLUMNS, [seen[row['model']], row['model'].removesuffix('.onnx'), row['input'],
                                               row['threads'], engines[engine], graph, median, low, high])))
    order = list(THEIRS.values())
    return sorted(rows, key=lambda row: (row['round'], row['model'], row['graph'], OURS.index(row['engine'])
                                         if row['engine'] in OURS else len(OURS) + order.index(row['engine'])))


class Times:
    """Milliseconds of every model, engine and graph, one for each round."""

    def __init__(self, record_):
        self.rows = record_.rows
        self.models = list(dict.fromkeys(row['model'] for row in self.rows))

    def of_engine(self, model, engine, graph):
        keys = (model, engine, graph)
        return numbers([r for r in self.rows if (r['model'], r['engine'], r['graph']) == keys], 'median_ms')

    def ours(self, model, engine='tract'):
        return self.of_engine(model, engine, PREPARED)

    def theirs(self, model):
        """Engine -> times on the author's file, of those that can run it."""
        all_ = {name: self.of_engine(model, name, AUTHORS) for name in THEIRS.values()}
        return {name: times for name, times in all_.items() if usable(times)}

    def best(self, model):
        """Of every round the time of the fastest other engine."""
        return [min(times) for times in zip(*self.theirs(model).values())]

    def fastest(self, model):
        """The other engine of the lowest median, and that median."""
        medians = {name: statistics.median(times) for name, times in self.theirs(model).items()}
        return min(medians.items(), key=lambda pair: pair[1], default=None)

    def against_best(self):
        """Model -> ratios of tract over the fastest other, one for each round; only models that both can run."""
        found = {model: ratios(self.ours(model), self.best(model)) for model in self.models}
        return {model: values for model, values in found.items() if values}


def aims(record_):
    """Largest geometric mean, and largest ratio of one model, that are aimed at: the record's, or those of such a machine."""
    own = record_.get('aims')
    if own:
        return tuple(float(aim) for aim in own.split())
    return (0.90, 1.05) if 'avx512f' in record_.get('flags').split() else (1.0, 1.2)


def summary(record_, times):
    found = times.against_best()
    lines = []
    for model, values in found.items():
        name, median = times.fastest(model)
        lines.append([model, spread(times.ours(model)), f'{name} {median:.1f}', spread(values, 2)])
    medians = [statistics.median(values) for values in found.values()]
    if not medians:
        return 'No model was run both by `tract` and by another engine.\n'
    by_round = [geometric_mean(values) for values in zip(*found.values())]
    mean, most = geometric_mean(medians), max(medians)
    lines.append(['geometric mean', '', '', f'{mean:.2f} ({min(by_round):.2f} to {max(by_round):.2f})'])
    aim_mean, aim_most = aims(record_)
    verdict = lambda value, aim: 'reached' if value <= aim else 'missed'
    return markdown(['model', '`tract`, ms', 'fastest other, ms', 'ratio'], lines) + (
        f'\nAim on this machine: geometric mean at most {aim_mean:.2f} ({verdict(mean, aim_mean)}: {mean:.2f}), no model above '
        f'{aim_most:.2f} ({verdict(most, aim_most)}: {most:.2f}).\n')


def page(record_):
    times = Times(record_)
    present = {row['engine'] for row in record_.rows if row['median_ms']}
    ours, theirs = ([n for n in names if n in present] for names in (OURS, THEIRS.values()))
    text = record.head(record_)
    text += ('\n`engine=tract` over the fastest of the others, which get the author\'s file. A ratio is of one round; the table '
             'has the median of the rounds, and the lowest and highest.\n\n' + summary(record_, times))
    text += '\nMilliseconds of one inference. Our engines (in code letters) get the graph that `detect` prepares; "-": cannot run it.\n\n'
    text += markdown(['model', *(f'`{n}`' for n in ours), *theirs], [
        [model, *(spread(times.ours(model, n)) for n in ours), *(spread(times.of_engine(model, n, AUTHORS)) for n in theirs)]
        for model in times.models])
    text += '\nOur time over theirs. "Same graph": theirs on the graph that ours get.\n\n'
    pairs = [('tract', 'ONNX Runtime', AUTHORS), ('onnxruntime', 'ONNX Runtime', AUTHORS), ('onnxruntime', 'ONNX Runtime', PREPARED),
             ('openvino', 'OpenVINO', AUTHORS), ('openvino', 'OpenVINO', PREPARED)]
    pairs = [pair for pair in pairs if pair[0] in ours and pair[1] in theirs]
    header = ['model', *(f'`{a}` : {b}' + (', same graph' if graph == PREPARED else '') for a, b, graph in pairs)]
    return text + markdown(header, [[model, *(spread(ratios(times.ours(model, a), times.of_engine(model, b, graph)), 2)
                                              for a, b, graph in pairs)] for model in times.models])


def main(folder):
    rows = collect(folder)
    threads = ', '.join(sorted({str(row['threads']) for row in rows}))
    print(record.Record(record.finish(folder, ('threads', threads)), COLUMNS, rows).save(os.environ.get('RECORD') or 'models'), end='')


if __name__ == '__main__':
    main(*sys.argv[1:])
