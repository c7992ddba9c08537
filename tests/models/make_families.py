"""Makes the micro models of families: runs the recipe `micro_model.py` of each folder in src/families.

    pip install numpy onnx
    python tests/models/make_families.py

Writes the models, and `families.json`: what each must find, for tests/families. A recipe has a function `add`, which
writes one model or several, with what families.py offers, and adds a case for each.
"""

import importlib.util
import sys
from pathlib import Path

from families import Cases

FAMILIES = Path(__file__).resolve().parents[2] / "src/families"


def recipe(file):
    spec = importlib.util.spec_from_file_location(f"{file.parent.name}_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    # Compiled recipes would lie among the plugin's sources, which cargo would then build again.
    sys.dont_write_bytecode = True
    cases = Cases()
    for file in sorted(FAMILIES.glob("*/micro_model.py")):
        cases.folder = file.parent.name
        recipe(file).add(cases)
    cases.save("families.json")


if __name__ == "__main__":
    main()
