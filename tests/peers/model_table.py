"""The table of tests/bench_models.sh, in Markdown: model_table.py FOLDER

FOLDER has rows of JSON, one a model and round, in ours.jsonl (our engines), theirs.jsonl (others on the file as it is)
and prepared.jsonl (others on the graph that ours get). A time is the median of the rounds' medians, in milliseconds,
with the lowest and highest of them. A ratio is the median of the rounds' ratios: both of its times are of the same round.
"""
import json, os, statistics, sys

OURS = {'tract': 'tract', 'onnxruntime': 'onnxruntime', 'openvino': 'openvino'}
THEIRS = {'onnxruntime': 'ONNX Runtime', 'openvino-f32': 'OpenVINO', 'opencv': 'OpenCV', 'ncnn': 'ncnn'}
# What "Any common detector works unmodified" asks for: tract's time over ONNX Runtime's, one thread.
BAR_MODEL, BAR = 'yolov8n_320_random.onnx', 2.0


def rounds(path):
    """Model -> engine -> times, one a round; None where the engine cannot run it."""
    models = {}
    if os.path.exists(path):
        for line in open(path):
            row = json.loads(line)
            engines = models.setdefault(row['model'], {})
            for name, value in row.items():
                if name not in ('model', 'input', 'threads', 'spread'):
                    engines.setdefault(name, []).append(value)
    return models


def threads(path):
    return sorted({json.loads(line)['threads'] for line in open(path)})


def usable(times):
    return bool(times) and None not in times


def cell(times, digits=1):
    if not usable(times):
        return '-'
    return f'{statistics.median(times):.{digits}f} ({min(times):.{digits}f} to {max(times):.{digits}f})'


def ratio(upper, lower):
    """Of rounds, in each of which both were measured."""
    return [a / b for a, b in zip(upper, lower)] if usable(upper) and usable(lower) else []


def best(engines):
    """Of every round the fastest engine that can run the model."""
    columns = [times for times in engines.values() if usable(times)]
    return [min(row) for row in zip(*columns)]


def markdown(header, lines):
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in [header, ['---'] * len(header), *lines])


def main(folder):
    read = lambda name: rounds(os.path.join(folder, name))
    ours, theirs, prepared = read('ours.jsonl'), read('theirs.jsonl'), read('prepared.jsonl')
    present = lambda group, names: [n for n in names if any(usable(engines.get(n)) for engines in group.values())]
    our_names, their_names = present(ours, OURS), present(theirs, THEIRS)
    numbers = ', '.join(map(str, threads(os.path.join(folder, 'ours.jsonl'))))
    print(f'Milliseconds of one inference, threads: {numbers}.\n')
    print(markdown(['model', *(f'`{OURS[n]}`' for n in our_names), *(THEIRS[n] for n in their_names)], [
        [model.removesuffix('.onnx'), *(cell(engines.get(n)) for n in our_names),
         *(cell(theirs.get(model, {}).get(n)) for n in their_names)] for model, engines in ours.items()]))
    print('\nOur time over theirs, below 1 where ours is faster; "same graph" is theirs on the graph that ours get.\n')
    header = ['model', '`tract` : ONNX Runtime', '`onnxruntime` : ONNX Runtime', 'same graph', '`openvino` : OpenVINO',
              'same graph', 'best of ours : best of theirs']
    lines = []
    for model, mine in ours.items():
        others, same = theirs.get(model, {}), prepared.get(model, {})
        pairs = [('tract', others, 'onnxruntime'), ('onnxruntime', others, 'onnxruntime'), ('onnxruntime', same, 'onnxruntime'),
                 ('openvino', others, 'openvino-f32'), ('openvino', same, 'openvino-f32')]
        lines.append([model.removesuffix('.onnx'), *(cell(ratio(mine.get(a), group.get(b)), 2) for a, group, b in pairs),
                      cell(ratio(best(mine), best(others)), 2)])
    print(markdown(header, lines))
    bar = ratio(ours.get(BAR_MODEL, {}).get('tract'), theirs.get(BAR_MODEL, {}).get('onnxruntime'))
    if bar and numbers == '1':
        verdict = 'reached' if statistics.median(bar) <= BAR else 'missed'
        print(f'\n{BAR_MODEL.removesuffix(".onnx")}, `tract` at most {BAR} times ONNX Runtime on one thread: '
              f'{statistics.median(bar):.2f}, {verdict}.')


if __name__ == '__main__':
    main(*sys.argv[1:])
