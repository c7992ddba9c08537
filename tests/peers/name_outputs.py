"""A model as upstream's onnxinference of GStreamer 1.26 takes it: name_outputs.py MODEL.onnx OUT.onnx

Each output's name must be a key of the metadata, with any identifier as value: without it the element takes no frame. Nothing
else is changed.
"""
import sys
import onnx


def main(path, copy):
    model = onnx.load(path)
    known = {entry.key for entry in model.metadata_props}
    for output in model.graph.output:
        if output.name not in known:
            model.metadata_props.add(key=output.name, value=f'output-{output.name}')
    onnx.save(model, copy)


if __name__ == '__main__':
    main(*sys.argv[1:])
