"""Tests of record.py and of the programs that make pages: python3 tests/peers/test_records.py"""
import contextlib, io, json, os, sys, tempfile, unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import executor_table, model_table, pixels_table, rate_table, record, speed_table  # noqa: E402


def quietly(function, *arguments):
    """What it prints on standard output."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        function(*arguments)
    return out.getvalue()


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work, self.figures = os.path.join(folder.name, 'work'), os.path.join(folder.name, 'figures')
        os.mkdir(self.work)
        os.mkdir(self.figures)
        with open(os.path.join(self.figures, 'README.md'), 'w') as file:
            file.write('# Records\n\n- [old](old/README.md): x\n')
        for patch in (mock.patch.dict(os.environ, {'FIGURES': self.figures, 'MACHINE': 'desk'}),
                      mock.patch.object(speed_table, 'FIGURES', self.figures)):
            patch.start()
            self.addCleanup(patch.stop)

    def write(self, name, lines):
        with open(os.path.join(self.work, name), 'w') as file:
            file.writelines(f'{line}\n' for line in lines)

    def models(self, tract):
        """A record of two models in two rounds; the second cannot be run by OpenCV."""
        record.begin(self.work, 'Bare model time', 'turns=2 rounds')
        self.write('loads.txt', ['0.10', '0.20'])
        self.write('skipped.txt', ['ncnn: Python has no ncnn'])
        row = lambda model, **times: json.dumps({'model': f'{model}.onnx', 'input': '1x3x4x4', 'threads': 1, **times})
        self.write('ours.jsonl', [row(model, tract=time, spread={'tract': [time, time + 1]})
                                  for time in tract for model in ('a', 'b')])
        self.write('theirs.jsonl', [line for time in (10, 20) for line in
                                    (row('a', onnxruntime=time, opencv=2 * time), row('b', onnxruntime=2 * time, opencv=None))])
        quietly(model_table.main, self.work)
        folder, = (name for name in os.listdir(self.figures) if name != 'README.md')
        return os.path.join(self.figures, folder, 'models.tsv')


class Records(Case):
    def test_a_record_reads_as_it_was_written(self):
        path = self.models([8, 16])
        read = record.Record.read(path)
        self.assertEqual(read.text(), record.read_text(path) + '\n')
        self.assertEqual(read.get('machine'), 'desk')
        self.assertIn('by round 0.10 0.20', read.get('load'))
        self.assertEqual(len(read.rows), 4 + 8)

    def test_a_ratio_is_of_one_round_and_the_mean_is_geometric(self):
        page = record.page(self.models([8, 16]))
        self.assertIn('| a | 12.0 (8.0 to 16.0) | ONNX Runtime 15.0 | 0.80 (0.80 to 0.80) |', page)
        self.assertIn('| b | 12.0 (8.0 to 16.0) | ONNX Runtime 30.0 | 0.40 (0.40 to 0.40) |', page)
        self.assertIn('| geometric mean |  |  | 0.57 (0.57 to 0.57) |', page)
        self.assertIn('- ncnn: Python has no ncnn', page)

    def test_an_aim_depends_on_the_machine(self):
        read = record.Record.read(self.models([9.5, 19]))
        times = model_table.Times(read)
        aims = lambda flags: model_table.summary(record.Record([('flags', flags)], [], []), times).split('Aim')[1]
        self.assertIn('at most 0.90 (reached: 0.67), no model above 1.05 (reached: 0.95)', aims('avx2 avx512f'))
        self.assertIn('at most 1.00', aims('avx2'))
        slow = model_table.Times(record.Record.read(self.models([13, 26])))
        self.assertIn('(missed: 1.30)', model_table.summary(read, slow))

    def test_a_page_must_be_what_its_rows_give(self):
        path = self.models([8, 16])
        with self.assertRaises(SystemExit) as ended:
            quietly(record.check, self.figures)
        self.assertEqual(ended.exception.code, 0)
        listed = record.read_text(os.path.join(self.figures, 'README.md')).splitlines()
        self.assertRegex(listed[2], r'^- \[.*, desk\]\(.*-desk/models.md\): Bare model time$')
        self.assertEqual(listed[3], '- [old](old/README.md): x')
        with open(path.replace('.tsv', '.md'), 'a') as page:
            page.write('one more line\n')
        with self.assertRaises(SystemExit) as ended:
            quietly(record.check, self.figures)
        self.assertEqual(ended.exception.code, 1)

    def test_rates_leave_out_the_round_that_counts_boxes(self):
        record.begin(self.work, 'Pipelines', 'peer=Python')
        row = lambda fps, **more: json.dumps({'frames': 10, 'fps': fps, 'cpu': 5, **more})
        programs = {'detect engine=tract': [1, 30, 40], 'Python': [99, 20, 20]}
        self.write('rows.tsv', [f'm, threads 1\t{program}\t{row(fps, boxes=20, stages={"model": 3.0})}'
                                for program, all_ in programs.items() for fps in all_])
        page = quietly(rate_table.main, self.work, 'pipelines')
        self.assertIn('| detect engine=tract | 35.0 (30.0 to 40.0) | 1.75 (1.50 to 2.00) |', page)
        self.assertIn('2.00 | model 3.00 |', page)
        self.assertIn('- m, threads 1, detect engine=tract: 1.75, aim 1.6: reached', page)

    def test_threads_and_kernels_are_compared_within_a_round(self):
        record.begin(self.work, 'Executor')
        times = {'one': [10], 'pair': [10, 20], 'two': [8], 'busy-one': [10], 'busy-two': [12], 'avx2': [15],
                 'avx512': [10], 'scalar': [60]}
        rows = [f'{case}\t1\t{json.dumps({"model": "m.onnx", "tract": ms, "mean": {"tract": ms}})}'
                for case, all_ in times.items() for ms in all_]
        self.write('rows.tsv', [*rows, f'peak\t1\t{json.dumps({"avx2": 50.0, "avx512": 80.0})}'])
        page = quietly(executor_table.main, self.work)
        self.assertIn('| m | 100.0 (100.0 to 100.0) | 150.0 (150.0 to 150.0) | 125.0', page)
        self.assertIn('- m, two threads over two processes: 0.83, aim at least 0.85: missed', page)
        self.assertIn('- m, beside a loop: time of two threads over one: 1.20, aim at most 1.1: missed', page)
        self.assertIn('- m, AVX2 over AVX-512: 1.50, aim at most 2.00: reached', page)

    def test_pixels_have_a_page(self):
        rows = [{'round': n, 'ours_us': 4 + n % 2, 'opencv_us': 10} for n in range(20)]
        page = pixels_table.page(record.Record([('title', 'Pixels')], ['round', 'ours_us', 'opencv_us'], rows))
        self.assertIn('| 4 (4 to 5) | 10 (10 to 10) | 0.45 (0.40 to 0.50) |', page.replace('| 4.5', '| 4'))
        self.assertIn('reached: 0.45', page)


class SpeedTable(Case):
    def readme(self, text):
        path = os.path.join(self.work, 'README.md')
        with open(path, 'w') as file:
            file.write(text)
        return path

    def test_readme_must_have_the_table_of_the_newest_record(self):
        self.models([8, 16])
        path = self.readme(f'# x\n\n{speed_table.BEGIN}\nold\n{speed_table.END}\n\nend\n')
        with self.assertRaisesRegex(SystemExit, 'not that of the newest record'):
            quietly(speed_table.main, ['--check', path])
        quietly(speed_table.main, ['--write', path])
        quietly(speed_table.main, ['--check', path])
        text = record.read_text(path)
        self.assertIn('| a | 12.0 | ONNX Runtime 15.0 | 0.80 |', text)
        self.assertIn('| geometric mean of 2 |  |  | 0.57 |', text)
        self.assertTrue(text.startswith('# x\n') and text.endswith('\nend'))
        self.models([16, 32])
        with self.assertRaisesRegex(SystemExit, 'not that of the newest record'):
            quietly(speed_table.main, ['--check', path])

    def test_what_is_missing_is_named(self):
        with self.assertRaisesRegex(SystemExit, 'no record of models'):
            quietly(speed_table.main, [])
        self.models([8, 16])
        with self.assertRaisesRegex(SystemExit, 'needs a line'):
            quietly(speed_table.main, ['--check', self.readme('# x\n')])


if __name__ == '__main__':
    unittest.main()
