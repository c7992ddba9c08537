#!/usr/bin/env python3
"""Fails if a kernel's tile keeps vectors on the stack: reads the assembly of src/convnet, compiled alone as in a release.

    tests/kernel_assembly.py            every tile, half a minute
    tests/kernel_assembly.py --prove    compiles tiles that are too wide as well, and fails if they pass
    tests/kernel_assembly.py --target aarch64 [--prove]
                                        the same for 64-bit Arm, on any machine that has Rust's library for it

A tile's accumulators must stay in registers: in memory they cost more than half of its speed. The table gives, for each
function, its instructions, its loads and stores of vectors on the stack, and the multiply-adds of its innermost loop.
"""

import argparse
import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "kernels"
TILES = ("dense", "depthwise", "depthwise_any")

# Functions that are listed, but may use the stack, each with its reason. No tile belongs here.
EXEMPT = {
    "winograd": "a 6 x 6 transform holds 36 registers and more; the products are the dense tiles",
}

BASE62 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class X86:
    """x86-64 in Intel's syntax."""

    triple = "x86_64-unknown-linux-gnu"
    sets = ("avx512", "avx2")
    # last number of the list of dense tiles, and one that does not fit the registers
    wider = {"avx512": (14, 20), "avx2": (6, 9)}
    flags = ("-Cllvm-args=-x86-asm-syntax=intel",)
    fma = re.compile(r"^vf(?:n?m)(?:add|sub)\d*[ps]s\b")
    jump = re.compile(r"^j[a-z]+\s+(\.\w+)")
    vector = re.compile(r"\b[xyz]mm\d+\b")
    comment = "#"

    @staticmethod
    def frame(code):
        """Registers that hold the frame: rbp is one like others, unless it was copied from rsp."""
        frame = re.compile(r"^(?:mov|lea)\s+(\w+), (?:rsp$|\[rsp\b)")
        return {"rsp"} | {match[1] for line in code if (match := frame.match(line)) and match[1] == "rbp"}

    @classmethod
    def stack(cls, code):
        """Instructions that keep vectors on the stack."""
        at_frame = re.compile(r"\[(?:%s)\b" % "|".join(cls.frame(code)))
        stack = [line for line in code if at_frame.search(line) and cls.vector.search(line)]
        # the stack is aligned for vectors alone, however they are then addressed
        return stack + [line for line in code if re.match(r"and\s+rsp, -\d+", line)]


class Arm:
    """64-bit Arm. The lower halves of eight registers (d8 to d15) belong to the caller: saving those is no spill."""

    triple = "aarch64-unknown-linux-gnu"
    sets = ("neon",)
    wider = {"neon": (8, 11)}
    flags = ()
    fma = re.compile(r"^fml[as]\s+v\d+\.")
    jump = re.compile(r"^(?:b\.\w+|cbn?z\s+\w+,|tbn?z\s+\w+, #\d+,|b)\s+(\.\w+)")
    vector = re.compile(r"\bq\d+\b|\bv\d+\.")
    comment = "//"

    @classmethod
    def stack(cls, code):
        """Instructions that keep vectors on the stack, also through a register that was computed from it just before."""
        copied = re.compile(r"^(?:mov|add|sub)\s+(x\d+), (?:sp|x29)\b")
        frame, stack = {"sp", "x29"}, []
        for line in code:
            if cls.vector.search(line) and re.search(r"\[(?:%s)\b" % "|".join(frame), line):
                stack.append(line)
            if match := copied.match(line):
                frame.add(match[1])
            elif match := re.match(r"^\w+\s+(x\d+),", line):
                # written anew; a store, which only reads it, ends the search as well
                frame.discard(match[1])
        return stack


ARCHITECTURES = {"x86_64": X86, "aarch64": Arm}


def constants(mangled, rest):
    """Values of a function's constant parameters; `rest` is what follows its name in `mangled`, in the v0 scheme."""
    found = []
    while match := re.match(r"K(?:j([0-9a-f]*)_|B([0-9a-zA-Z]*)_)", rest):
        value, back = match.groups()
        if back is not None:
            at = 0
            for digit in back:
                at = at * 62 + BASE62.index(digit)
            at = at + 1 if back else 0
            value = re.match(r"j([0-9a-f]*)_", mangled[len("_R") + at:])[1]
        found.append(int(value or "0", 16))
        rest = rest[match.end():]
    return found


def name_of(architecture, symbol):
    """(instruction set, function, constants) of a symbol that is a kernel of interest, else None."""
    match = re.search(r"7kernels\d(%s)(\d+)(.*)" % "|".join(architecture.sets), symbol)
    if not match or "7closure" in symbol:
        return None
    length = match[2]
    # the length may swallow a digit of the name only if names began with one, which none does
    name, rest = match[3][: int(length)], match[3][int(length):]
    if name not in (*TILES, *EXEMPT):
        return None
    return match[1], name, tuple(constants(symbol, rest))


def functions(architecture, assembly):
    """Yields each kernel with its lines, labels included."""
    current, lines = None, []
    for line in assembly.splitlines():
        line = line.strip()
        if match := re.match(r"(_R\w+):", line):
            current, lines = name_of(architecture, match[1]), []
        elif line.startswith(".cfi_endproc") and current:
            yield current, lines
            current = None
        elif current and (re.match(r"\.L\w+:", line) or not line.startswith((".", architecture.comment))) and line:
            lines.append(line)


def inner_loops(architecture, lines):
    """(first line, last line) of each loop that holds multiply-adds and no other such loop."""
    labels = {line[:-1]: i for i, line in enumerate(lines) if line.endswith(":")}
    fma = [i for i, line in enumerate(lines) if architecture.fma.match(line)]
    loops = []
    for i, line in enumerate(lines):
        match = architecture.jump.match(line)
        if match and (start := labels.get(match[1], i)) < i and any(start < k < i for k in fma):
            loops.append((start, i))
    return [a for a in loops if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in loops)]


def look(architecture, lines):
    """Instructions, vector accesses to the stack, and multiply-adds of the innermost loop that has most of them."""
    code = [line for line in lines if not line.endswith(":")]
    fma = [i for i, line in enumerate(lines) if architecture.fma.match(line)]
    loops = inner_loops(architecture, lines)
    # without a loop the taps are unrolled: the function is one
    most = max((sum(start < k < end for k in fma) for start, end in loops), default=len(fma))
    return len(code), architecture.stack(code), most


def expected(kernels, instruction_set):
    """Tiles that a table of kernels names: those that the assembly must hold."""
    text = (kernels / instruction_set / "mod.rs").read_text()
    lists = {key: [int(n) for n in values.split()] for key, values in re.findall(r"(\w+): \[([\d ]+)\]", text)}
    lanes = int(re.search(r"const LANES: usize = (\d+);", text)[1])
    # of one pixel there is no step, and the compiler makes one function of the three
    steps = lambda t: (2, lanes, 2 * lanes) if t > 1 else (2,)
    wanted = {("dense", (t, b, step)) for t in lists["dense"] for b in (1, 2) for step in steps(t)}
    wanted |= {("dense", (t, b, 0)) for t in lists["any"] for b in (1, 2)}
    wanted |= {("depthwise", (t, k, s)) for s in (1, 2) for t in lists[f"depthwise{s}"] for k in (3, 5)}
    return wanted | {("depthwise_any", (t,)) for t in lists["depthwise1"]} | {("winograd", ())}


def compile_alone(architecture, source, out):
    library = out.with_suffix(".rs")
    library.write_text(f'#[path = "{source / "mod.rs"}"]\npub mod convnet;\n')
    assembly = out.with_suffix(".s")
    # as the release profile does; one unit, so that there is one file
    command = ["rustc", "--edition", "2024", "--crate-type", "lib", "--crate-name", "alone", "-Copt-level=3", "-Ccodegen-units=1"]
    command += ["-Csymbol-mangling-version=v0", "--target", architecture.triple, *architecture.flags]
    command += [f"--emit=asm={assembly}", str(library)]
    subprocess.run(command, check=True, cwd=WORK)
    return assembly.read_text()


def has_library(architecture):
    """True if this Rust can compile for the architecture."""
    root = subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True, text=True).stdout.strip()
    return (pathlib.Path(root) / "lib" / "rustlib" / architecture.triple / "lib").is_dir()


def describe(kernel):
    instruction_set, name, values = kernel
    return f"{instruction_set} {name}" + (f"<{', '.join(map(str, values))}>" if values else "")


def check(architecture, source, assembly, table=True):
    """Prints the table and returns the functions that fail, with the reason."""
    found, failures = dict(functions(architecture, assembly)), []
    if table:
        print(f"{'instructions':>12} {'stack':>6} {'fma':>5}  function")
    for kernel, lines in sorted(found.items()):
        instructions, stack, fma = look(architecture, lines)
        if table:
            print(f"{instructions:12} {len(stack):6} {fma:5}  {describe(kernel)}")
        if stack and kernel[1] not in EXEMPT:
            failures.append(f"{describe(kernel)}: {len(stack)} vectors on the stack, such as \"{stack[0]}\"")
        if kernel[1] == "dense":
            pixels, blocks, _ = kernel[2]
            if fma == 0 or fma % (pixels * blocks):
                failures.append(f"{describe(kernel)}: {fma} multiply-adds in the loop, expected a multiple of {pixels * blocks}")
    for instruction_set in architecture.sets:
        for name, values in sorted(expected(source / "kernels", instruction_set)):
            if (instruction_set, name, values) not in found:
                failures.append(f"{describe((instruction_set, name, values))}: not in the assembly; was it renamed or merged?")
    return failures


def prove(architecture):
    """Compiles a copy whose tiles are wider than the registers hold; each of the new ones must be found."""
    source = WORK / "too-wide"
    subprocess.run(["rm", "-rf", str(source)], check=True)
    subprocess.run(["cp", "-r", str(ROOT / "src" / "convnet"), str(source)], check=True)
    missing = []
    for instruction_set, (most, width) in architecture.wider.items():
        file = source / "kernels" / instruction_set / "mod.rs"
        text, n = re.subn(r"(dense: \[[\d ]* %d)\]" % most, r"\g<1> %d]" % width, file.read_text(), count=1)
        if not n:
            sys.exit(f"{file}: no list of dense tiles that ends in {most}; change `wider` in tests/kernel_assembly.py")
        file.write_text(text)
    failures = check(architecture, source, compile_alone(architecture, source, WORK / f"too_wide_{architecture.triple}"), table=False)
    for instruction_set, (_, width) in architecture.wider.items():
        if not any(f.startswith(f"{instruction_set} dense<{width}, 2, ") and "on the stack" in f for f in failures):
            missing.append(f"{instruction_set}: {width} x 2 accumulators are more than there are registers, and passed")
    return missing


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default=platform.machine(), help="x86_64 or aarch64; by default this machine")
    parser.add_argument("--prove", action="store_true")
    args = parser.parse_args()
    architecture = ARCHITECTURES.get(args.target)
    if not architecture:
        print(f"SKIPPED: kernels' assembly, which is checked for {' and '.join(ARCHITECTURES)}, not for {args.target}")
        return
    if not has_library(architecture):
        sys.exit(f"This Rust has no library for {architecture.triple}. Add it: rustup target add {architecture.triple}")
    WORK.mkdir(parents=True, exist_ok=True)
    source = ROOT / "src" / "convnet"
    if args.prove:
        failures = prove(architecture)
    else:
        for name, reason in EXEMPT.items():
            print(f"May use the stack: {name}: {reason}")
        assembly = compile_alone(architecture, source, WORK / f"alone_{architecture.triple}")
        failures = check(architecture, source, assembly)
    for failure in failures:
        print(failure, file=sys.stderr)
    if failures:
        sys.exit(f"{len(failures)} failures.")
    print("Tiles that are too wide are found." if args.prove else "No tile keeps vectors on the stack.")


if __name__ == "__main__":
    main()
