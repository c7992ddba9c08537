#!/usr/bin/env python3
"""Estimates how fast the inner loops of the NEON kernels are, with the models of processors that LLVM has.

    tests/arm64/cycles.py           wants llvm-mca 19 (Debian: llvm-19) and Rust's library for aarch64

The executor is compiled alone as in a release. The block with most multiply-adds of each tile function goes through
llvm-mca as if it ran for ever with all data in the level-1 cache. For dense tiles that is the whole inner loop; for
depthwise tiles whose taps are unrolled, what comes behind the sums (activation and stores, by the case) is not in it. The bound is the multiply-adds at the processor's rate: two a cycle on the
Neoverse N1, whose core is that of the Cortex-A76 (Raspberry Pi 5), and one on the Cortex-A72 (Raspberry Pi 4). The script
fails if a block that rows of pixels usually go through reaches less than 80 % of the bound. These are estimates: no
processor was measured.
"""

import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import kernel_assembly  # noqa: E402

MCA = "llvm-mca-19"
# multiply-adds a cycle
PROCESSORS = {"neoverse-n1": 2, "cortex-a72": 1}
SHARE = 0.8
# Rows are cut into tiles of nearly equal width: narrower ones are for maps of few pixels. Tiles of one block of outputs,
# with too few sums to hide how long a multiply-add takes, are for the last of an odd number of blocks.
USUAL_PIXELS = 5
ITERATIONS = 100


def straight(arm, lines):
    """(multiply-adds, instructions) of each block that runs from its first to its last instruction."""
    blocks, code = [], []
    for line in lines:
        if not line.endswith(":"):
            code.append(line)
        if line.endswith(":") or arm.jump.match(line):
            blocks.append((sum(bool(arm.fma.match(one)) for one in code), code))
            code = []
    return blocks + [(0, code)]


def cycles(code, processor):
    """Cycles of one turn of a loop in its steady state."""
    text = []
    for line in code:
        line = re.sub(r"//.*", "", line).strip()
        # targets of branches are outside of the text
        text.append(re.sub(r"\.L\w+$", "loop", line))
    command = [MCA, "-mtriple=aarch64", f"-mcpu={processor}", f"-iterations={ITERATIONS}"]
    command += ["-instruction-info=0", "-resource-pressure=0"]
    run = subprocess.run(command, input="loop:\n" + "\n".join(text) + "\n", capture_output=True, text=True)
    match = re.search(r"Total Cycles:\s+(\d+)", run.stdout)
    if run.returncode or not match:
        sys.exit(f"{MCA} cannot read a loop:\n{run.stderr[:2000]}")
    return int(match[1]) / ITERATIONS


def main():
    if sys.argv[1:]:
        sys.exit(__doc__)
    if not shutil.which(MCA):
        sys.exit(f"{MCA} is missing. Install it: apt-get install llvm-19")
    arm = kernel_assembly.Arm
    if not kernel_assembly.has_library(arm):
        sys.exit(f"This Rust has no library for {arm.triple}. Add it: rustup target add {arm.triple}")
    kernel_assembly.WORK.mkdir(parents=True, exist_ok=True)
    assembly = kernel_assembly.compile_alone(arm, ROOT / "src" / "convnet", kernel_assembly.WORK / f"alone_{arm.triple}")
    titles = [f"cycles, {processor} (share of the bound)" for processor in PROCESSORS]
    print(f"| block | multiply-adds | instructions | {' | '.join(titles)} |")
    print("|---|---|---|" + "---|" * len(PROCESSORS))
    slow = []
    for kernel, lines in sorted(kernel_assembly.functions(arm, assembly)):
        # the others are for channels that do not fill a block
        fma, code = max(straight(arm, lines), key=lambda block: block[0])
        if not fma:
            continue
        row = [kernel_assembly.describe(kernel), str(fma), str(len(code))]
        usual = kernel[1] == "dense" and kernel[2][1] == 2 or kernel[1] == "depthwise"
        usual = usual and kernel[2][0] >= USUAL_PIXELS
        for processor, rate in PROCESSORS.items():
            found = cycles(code, processor)
            # in whole percents, as it is printed
            share = round(fma / rate / found, 2)
            row.append(f"{found:.1f} ({100 * share:.0f} %)")
            if usual and share < SHARE:
                slow.append(f"{row[0]}: {found:.1f} cycles on {processor}, of which {fma / rate:.0f} are multiply-adds")
        print(f"| {' | '.join(row)} |", flush=True)
    for line in slow:
        print(line, file=sys.stderr)
    if slow:
        sys.exit(f"{len(slow)} blocks reach less than {100 * SHARE:.0f} % of the bound.")
    print(f"Every usual block reaches {100 * SHARE:.0f} % of the bound.")


main()
