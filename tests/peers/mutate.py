"""Hostile models: real graphs with one to three faults each, by a seed.

    mutate.py FOLDER COUNT [SEED]    writes mutant-0000.onnx, ... and mutants.tsv (file, base, faults) into FOLDER

Bases are the micro models of the repository and, where DETECT_SHARED names the folder of shared models, the real models of
at most 8 MB. The same seed, count and bases give the same files.
"""
import copy, glob, os, random, sys

import onnx
from onnx import AttributeProto, TensorProto, helper

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))
NUMBERS = (-2**63, -2**31, -1, 0, 1, 2, 3, 7, 255, 65536, 2**31 - 1, 2**31, 2**40, 2**63 - 1)
DIMS = (-1, 0, 1, 2, 5, 1000, 65536, 2**31, 2**40, 2**62)
LARGEST_BASE = 8 << 20


def bases():
    shared = os.environ.get('DETECT_SHARED')
    real = sorted(glob.glob(os.path.join(shared, 'models/*.onnx'))) if shared else []
    micro = sorted(glob.glob(os.path.join(ROOT, 'tests/models/*.onnx')))
    return [path for path in micro + real if os.path.getsize(path) <= LARGEST_BASE]


def dims(model, rng, folder):
    """A dim of an input, an output or a value in between."""
    graph = model.graph
    values = [v for v in [*graph.input, *graph.output, *graph.value_info] if v.type.tensor_type.shape.dim]
    if not values:
        return None
    value = rng.choice(values)
    dim = rng.choice(value.type.tensor_type.shape.dim)
    if rng.random() < 0.1:
        dim.dim_param = 'N'
        return f'dim of {value.name} is N'
    dim.dim_value = rng.choice(DIMS)
    return f'dim of {value.name} is {dim.dim_value}'


def attributes(model, rng, folder):
    """A number of an attribute, or the length of a list of them."""
    found = [(node, a) for node in model.graph.node for a in node.attribute
             if a.type in (AttributeProto.INT, AttributeProto.INTS, AttributeProto.FLOAT)]
    if not found:
        return None
    node, attribute = rng.choice(found)
    if attribute.type == AttributeProto.FLOAT:
        attribute.f = rng.choice((float('nan'), float('inf'), -1e38, 0.0, 1e38))
    elif attribute.type == AttributeProto.INT:
        attribute.i = rng.choice(NUMBERS)
    elif not attribute.ints or rng.random() < 0.2:
        attribute.ints.append(rng.choice(NUMBERS))
    else:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
    return f'{attribute.name} of {node.op_type}'


def initializers(model, rng, folder):
    """Dims, type, length or numbers of a constant."""
    found = list(model.graph.initializer)
    if not found:
        return None
    tensor = rng.choice(found)
    way = rng.choice(('dims', 'type', 'short', 'rank', 'numbers'))
    if way == 'dims' and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(DIMS)
    elif way == 'type':
        tensor.data_type = rng.choice((0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 16, 99))
    elif way == 'short' and tensor.raw_data:
        tensor.raw_data = tensor.raw_data[:len(tensor.raw_data) // 2 + rng.randrange(3)]
    elif way == 'rank':
        tensor.dims.append(rng.choice((1, 2, 2**33)))
    elif tensor.data_type == TensorProto.INT64 and len(tensor.raw_data) >= 8:
        at = rng.randrange(len(tensor.raw_data) // 8) * 8
        number = rng.choice(NUMBERS).to_bytes(8, 'little', signed=True)
        tensor.raw_data = tensor.raw_data[:at] + number + tensor.raw_data[at + 8:]
        way = 'int64'
    else:
        tensor.raw_data = bytes(rng.randrange(256) for _ in range(min(len(tensor.raw_data), 4096)))
    return f'{way} of {tensor.name}'


def wiring(model, rng, folder):
    """An input of a node: a cycle, another tensor, nothing; a node lost, doubled, of another operator or out of order."""
    nodes = model.graph.node
    if not nodes:
        return None
    at = rng.randrange(len(nodes))
    node, other = nodes[at], rng.choice(nodes)
    way = rng.choice(('cycle', 'other', 'nothing', 'lost', 'doubled', 'operator', 'order', 'none'))
    if way in ('cycle', 'other', 'nothing') and node.input:
        name = {'cycle': node.output[0] if node.output else '', 'other': other.output[0] if other.output else '',
                'nothing': 'nowhere'}[way]
        node.input[rng.randrange(len(node.input))] = name
    elif way == 'none':
        del node.input[:]
    elif way == 'lost':
        del nodes[at]
    elif way == 'operator':
        node.op_type = rng.choice(('Div', 'Mod', 'Tile', 'Expand', 'ConstantOfShape', 'Range', 'Pad', 'Resize', 'TopK',
                                   'NonZero', 'GatherND', 'ScatterND', 'OneHot', 'Upsample', 'CumSum', 'Loop', 'If', 'Scan',
                                   'MelWeightMatrix', 'RandomNormal', 'Einsum', 'DepthToSpace', 'MaxUnpool'))
    elif way == 'order':
        moved = copy.deepcopy(node)
        del nodes[at]
        nodes.insert(rng.randrange(len(nodes) + 1), moved)
    else:
        nodes.insert(at, copy.deepcopy(node))
    return f'wiring: {way} at {node.op_type}'


def constant(model, name, numbers, kind=TensorProto.INT64, shape=None):
    model.graph.initializer.append(helper.make_tensor(name, kind, [len(numbers)] if shape is None else shape, numbers))
    return name


def behind(model, rng, op, extra, **attributes):
    """Puts an operator in front of a tensor that some node reads."""
    readers = [node for node in model.graph.node if node.input and node.input[0]]
    if not readers:
        return None
    node = rng.choice(readers)
    name = f'hostile_{len(model.graph.node)}'
    made = helper.make_node(op, [node.input[0], *extra], [name], **attributes)
    model.graph.node.insert(list(model.graph.node).index(node), made)
    node.input[0] = name
    return f'{op} before {node.op_type}'


def operators(model, rng, folder):
    """An operator that computes much, allocates much or divides badly."""
    number = rng.choice(NUMBERS)
    shape = [rng.choice(NUMBERS) for _ in range(rng.choice((1, 3, 4, 4, 5)))]
    tag = f'k{len(model.graph.initializer)}'
    way = rng.randrange(7)
    if way == 0:
        return behind(model, rng, 'Tile', [constant(model, tag, shape)])
    if way == 1:
        return behind(model, rng, 'Expand', [constant(model, tag, shape)])
    if way == 2:
        return behind(model, rng, 'Reshape', [constant(model, tag, shape)])
    if way == 3:
        return behind(model, rng, 'Pad', [constant(model, tag, [rng.choice(NUMBERS) for _ in range(8)])])
    if way == 4:
        pool = rng.choice(('MaxPool', 'AveragePool'))
        return behind(model, rng, pool, [], kernel_shape=[abs(number) % 2**62, 1], strides=[1, 1],
                      pads=[rng.choice(NUMBERS) for _ in range(4)])
    if way == 5:
        return behind(model, rng, 'Transpose', [], perm=[rng.randrange(-1, 5) for _ in range(4)])
    a, b = constant(model, tag, [-2**63, number]), constant(model, f'{tag}b', [-1, rng.choice((0, -1))])
    op = rng.choice(('Div', 'Mod'))
    model.graph.node.insert(0, helper.make_node(op, [a, b], [f'{tag}q']))
    model.graph.output.append(helper.make_tensor_value_info(f'{tag}q', TensorProto.INT64, [2]))
    return f'{op} of {number}'


def subgraphs(model, rng, folder):
    """A Loop with many trips or an If, before a tensor that some node reads; or graphs within graphs."""
    tag = f'g{len(model.graph.node)}'
    info = lambda name, kind, shape: helper.make_tensor_value_info(name, kind, shape)
    if rng.random() < 0.5:
        trips = constant(model, f'{tag}n', [rng.choice(NUMBERS)], shape=[])
        on = constant(model, f'{tag}c', [True], TensorProto.BOOL, [])
        body = helper.make_graph(
            [helper.make_node('Identity', [f'{tag}ci'], [f'{tag}co']),
             helper.make_node(rng.choice(('Identity', 'Relu')), [f'{tag}xi'], [f'{tag}xo'])], 'body',
            [info(f'{tag}i', TensorProto.INT64, []), info(f'{tag}ci', TensorProto.BOOL, []),
             info(f'{tag}xi', TensorProto.FLOAT, None)],
            [info(f'{tag}co', TensorProto.BOOL, []), info(f'{tag}xo', TensorProto.FLOAT, None)])
        readers = [node for node in model.graph.node if node.input and node.input[0]]
        if not readers:
            return None
        node = rng.choice(readers)
        made = helper.make_node('Loop', [trips, on, node.input[0]], [f'{tag}out'], body=body)
        model.graph.node.insert(list(model.graph.node).index(node), made)
        node.input[0] = f'{tag}out'
        return 'Loop'
    depth = rng.choice((1, 2, 8, 20))  # protobuf writes no deeper than 100 messages
    graph = helper.make_graph([helper.make_node('Constant', [], ['leaf'], value_float=1.0)], 'leaf', [],
                              [info('leaf', TensorProto.FLOAT, [])])
    on = constant(model, f'{tag}c', [True], TensorProto.BOOL, [])
    for level in range(depth):
        name = f'level{level}'
        node = helper.make_node('If', [on], [name], then_branch=graph, else_branch=graph) if level < 3 else \
            helper.make_node('If', [on], [name], then_branch=graph)
        graph = helper.make_graph([node], name, [], [info(name, TensorProto.FLOAT, [])])
    model.graph.node.insert(0, copy.deepcopy(graph.node[0]))
    return f'{depth} times If'


def external(model, rng, folder):
    """A constant whose numbers lie in another file: that is not there, too short, far too long, elsewhere."""
    found = [tensor for tensor in model.graph.initializer if tensor.raw_data]
    if not found:
        return None
    tensor = rng.choice(found)
    name = rng.choice(('missing.bin', 'short.bin', 'huge.bin', '../up.bin', '/dev/zero', '/etc/passwd', 'mutants.tsv', '.'))
    tensor.data_location = TensorProto.EXTERNAL
    pairs = {'location': name, 'offset': str(rng.choice(NUMBERS)), 'length': str(rng.choice(NUMBERS))}
    for key in rng.sample(sorted(pairs), rng.randrange(1, 4)) + ['location']:
        entry = tensor.external_data.add()
        entry.key, entry.value = key, pairs[key]
    tensor.ClearField('raw_data')
    if rng.random() < 0.3:
        tensor.dims[:] = [2**31, 4]
    return f'external data in {name}'


KINDS = (dims, attributes, initializers, wiring, operators, subgraphs, external)


def mutant(models, rng, folder):
    """Bytes, the name of the base, and the faults in words."""
    path, data = rng.choice(models)
    model = onnx.ModelProto.FromString(data)
    faults = [rng.choice(KINDS)(model, rng, folder) for _ in range(rng.choice((1, 1, 2, 3)))]
    return model.SerializeToString(), os.path.basename(path), '; '.join(filter(None, faults))


def write(folder, count, seed):
    rng = random.Random(seed)
    models = [(path, open(path, 'rb').read()) for path in bases()]
    with open(os.path.join(folder, 'huge.bin'), 'wb') as file:
        file.truncate(1 << 30)
    with open(os.path.join(folder, 'short.bin'), 'wb') as file:
        file.write(b'abc')
    with open(os.path.join(folder, 'mutants.tsv'), 'w') as list_:
        for number in range(count):
            data, base, faults = mutant(models, rng, folder)
            name = f'mutant-{number:04}.onnx'
            with open(os.path.join(folder, name), 'wb') as file:
                file.write(data)
            faults = ' '.join(faults.split())[:200]
            list_.write(f'{name}\t{base}\t{faults}\n')
    return len(models)


if __name__ == '__main__':
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 19)
