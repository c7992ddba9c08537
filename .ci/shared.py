"""What the checks against the shared models need of Python.

    shared.py pictures FOLDER      writes every picture of the shared folder that is not PNG as FOLDER/NAME.png, decoded by OpenCV
    shared.py accuracy FOLDER      average precision of the detections in FOLDER/MODEL.json against that of the reference on the same pictures

The shared folder is named by DETECT_SHARED.
"""
import json, os, subprocess, sys

SHARED = os.environ['DETECT_SHARED']
# The most that average precision may differ from the reference's. A quantised model is run as float, which is not what
# the reference does.
TOLERANCES = {'yolox_nano_416': 0.003, 'yolox_nano_416.mix_qdq_pc': 0.01, 'nanodet_m_320': 0.005,
              'picodet_xs_320': 0.005, 'fastestdet_352': 0.005}
# The most that it may differ between a square input and one of the shape of the picture.
WIDE, WIDE_TOLERANCE = 'yolox_nano_416', 0.01


def pictures(folder):
    import cv2
    os.makedirs(folder, exist_ok=True)
    for source in ('images', 'coco-mini/images'):
        for name in sorted(os.listdir(os.path.join(SHARED, source))):
            stem, extension = os.path.splitext(name)
            if extension.lower() in ('.jpg', '.jpeg'):
                picture = cv2.imread(os.path.join(SHARED, source, name))
                cv2.imwrite(os.path.join(folder, stem + '.png'), picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])


def average_precision(*arguments):
    script = os.path.join(SHARED, 'reference', 'coco_map.py')
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE='1')
    output = subprocess.run([sys.executable, script, *arguments], check=True, capture_output=True, text=True, env=environment)
    return json.loads(output.stdout)


def accuracy(folder):
    wrong = []
    for model, tolerance in TOLERANCES.items():
        card = os.path.join(SHARED, 'models', model + '.json')
        ours, reference = average_precision(os.path.join(folder, model + '.json')), average_precision('--card', card)
        difference = abs(ours['AP'] - reference['AP'])
        print(f'{model} on coco-mini, through the element: AP {ours["AP"]} AP50 {ours["AP50"]}; '
              f'reference: AP {reference["AP"]} AP50 {reference["AP50"]}; difference in AP {difference:.4f}, at most {tolerance}')
        if difference > tolerance:
            wrong.append(model)
    wrong += wide_accuracy(folder)
    if wrong:
        sys.exit('the accuracy is not that of the reference: ' + ', '.join(wrong))


def of_pictures(detections, names):
    """AP of the rows of FILE that are of the pictures `names`, on these pictures alone."""
    import contextlib, io
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(os.path.join(SHARED, 'coco-mini', 'instances_ccby.json'))
        image_id = {i['file_name']: i['id'] for i in truth.imgs.values()}
        category = {c['name']: c['id'] for c in truth.cats.values()}
        rows = [{'image_id': image_id[d['image']], 'category_id': category[label], 'bbox': [x1, y1, x2 - x1, y2 - y1], 'score': score}
                for d in detections if d['image'] in names for x1, y1, x2, y2, score, label in d['boxes'] if label in category]
        evaluation = COCOeval(truth, truth.loadRes(rows), 'bbox')
        evaluation.params.imgIds = [image_id[name] for name in names]
        evaluation.evaluate(); evaluation.accumulate(); evaluation.summarize()
    return float(evaluation.stats[0])


def wide_accuracy(folder):
    square, wide = (json.load(open(os.path.join(folder, WIDE + suffix))) for suffix in ('.json', '.wide.json'))
    names = sorted(row['image'] for row in wide)
    before, after = of_pictures(square, names), of_pictures(wide, names)
    print(f'{WIDE} on the {len(names)} wide pictures of coco-mini: AP {before:.4f} at 416x416, {after:.4f} at 416x256; '
          f'difference {after - before:+.4f}, at most {WIDE_TOLERANCE}')
    return [WIDE + ' at 416x256'] if abs(after - before) > WIDE_TOLERANCE else []


if __name__ == '__main__':
    {'pictures': pictures, 'accuracy': accuracy}[sys.argv[1]](sys.argv[2])
