#!/usr/bin/env python3
"""Fails if a kernel's tile keeps vectors on the stack: reads the assembly of src/convnet, compiled alone as in a release.

    tests/kernel_assembly.py            every tile, half a minute
    tests/kernel_assembly.py --prove    compiles tiles that are too wide as well, and fails if they pass

A tile's accumulators must stay in registers: in memory they cost more than half of its speed. The table gives, for each
function, its instructions, its loads and stores of vectors on the stack, and the multiply-adds of its innermost loop.
"""

import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "kernels"
SETS = ("avx512", "avx2")
TILES = ("dense", "depthwise", "depthwise_any")

# Functions that are listed, but may use the stack, each with its reason. No tile belongs here.
EXEMPT = {
    "winograd": "a 6 x 6 transform holds 36 registers and more; the products are the dense tiles",
}

BASE62 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
FRAME = re.compile(r"^(?:mov|lea)\s+(\w+), (?:rsp$|\[rsp\b)")
VECTOR = re.compile(r"\b[xyz]mm\d+\b")
FMA = re.compile(r"^vf(?:n?m)(?:add|sub)\d*[ps]s\b")
JUMP = re.compile(r"^j[a-z]+\s+(\.\w+)")


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


def name_of(symbol):
    """(instruction set, function, constants) of a symbol that is a kernel of interest, else None."""
    match = re.search(r"7kernels\d(%s)(\d+)(.*)" % "|".join(SETS), symbol)
    if not match or "7closure" in symbol:
        return None
    length = match[2]
    # the length may swallow a digit of the name only if names began with one, which none does
    name, rest = match[3][: int(length)], match[3][int(length):]
    if name not in (*TILES, *EXEMPT):
        return None
    return match[1], name, tuple(constants(symbol, rest))


def functions(assembly):
    """Yields each kernel with its lines, labels included."""
    current, lines = None, []
    for line in assembly.splitlines():
        line = line.strip()
        if match := re.match(r"(_R\w+):", line):
            current, lines = name_of(match[1]), []
        elif line.startswith(".cfi_endproc") and current:
            yield current, lines
            current = None
        elif current and (re.match(r"\.L\w+:", line) or not line.startswith((".", "#"))) and line:
            lines.append(line)


def look(lines):
    """Instructions, vector accesses to the stack, and multiply-adds of the innermost loop that has most of them."""
    labels = {line[:-1]: i for i, line in enumerate(lines) if line.endswith(":")}
    code = [i for i, line in enumerate(lines) if not line.endswith(":")]
    fma = [i for i in code if FMA.match(lines[i])]
    # rbp is a register like others, unless it holds the frame
    frame = {"rsp"} | {match[1] for i in code if (match := FRAME.match(lines[i])) and match[1] == "rbp"}
    at_frame = re.compile(r"\[(?:%s)\b" % "|".join(frame))
    stack = [lines[i] for i in code if at_frame.search(lines[i]) and VECTOR.search(lines[i])]
    # the stack is aligned for vectors alone, however they are then addressed
    stack += [lines[i] for i in code if re.match(r"and\s+rsp, -\d+", lines[i])]
    loops = []
    for i in code:
        match = JUMP.match(lines[i])
        if match and labels.get(match[1], i) < i:
            start = labels[match[1]]
            loops.append((i - start, sum(start < k < i for k in fma), start, i))
    loops = [loop for loop in loops if loop[1]]
    inner = [a for a in loops if not any(b is not a and a[2] <= b[2] and b[3] <= a[3] for b in loops)]
    # without a loop the taps are unrolled: the function is one
    return len(code), stack, max((loop[1] for loop in inner), default=len(fma))


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


def compile_alone(source, out):
    library = out.with_suffix(".rs")
    library.write_text(f'#[path = "{source / "mod.rs"}"]\npub mod convnet;\n')
    assembly = out.with_suffix(".s")
    # as the release profile does; one unit, so that there is one file
    command = ["rustc", "--edition", "2024", "--crate-type", "lib", "--crate-name", "alone", "-Copt-level=3", "-Ccodegen-units=1"]
    command += ["-Csymbol-mangling-version=v0", "-Cllvm-args=-x86-asm-syntax=intel", f"--emit=asm={assembly}", str(library)]
    subprocess.run(command, check=True, cwd=WORK)
    return assembly.read_text()


def describe(kernel):
    instruction_set, name, values = kernel
    return f"{instruction_set} {name}" + (f"<{', '.join(map(str, values))}>" if values else "")


def check(source, assembly, table=True):
    """Prints the table and returns the functions that fail, with the reason."""
    found, failures = dict(functions(assembly)), []
    if table:
        print(f"{'instructions':>12} {'stack':>6} {'fma':>5}  function")
    for kernel, lines in sorted(found.items()):
        instructions, stack, fma = look(lines)
        if table:
            print(f"{instructions:12} {len(stack):6} {fma:5}  {describe(kernel)}")
        if stack and kernel[1] not in EXEMPT:
            failures.append(f"{describe(kernel)}: {len(stack)} vectors on the stack, such as \"{stack[0]}\"")
        if kernel[1] == "dense":
            pixels, blocks, _ = kernel[2]
            if fma == 0 or fma % (pixels * blocks):
                failures.append(f"{describe(kernel)}: {fma} multiply-adds in the loop, expected a multiple of {pixels * blocks}")
    for instruction_set in SETS:
        for name, values in sorted(expected(source / "kernels", instruction_set)):
            if (instruction_set, name, values) not in found:
                failures.append(f"{describe((instruction_set, name, values))}: not in the assembly; was it renamed or merged?")
    return failures


def prove():
    """Compiles a copy whose tiles are wider than the registers hold; each of the new ones must be found."""
    source = WORK / "too-wide"
    subprocess.run(["rm", "-rf", str(source)], check=True)
    subprocess.run(["cp", "-r", str(ROOT / "src" / "convnet"), str(source)], check=True)
    missing = []
    wider = {"avx512": (" 14]", " 14 20]", 20), "avx2": (" 6]", " 6 9]", 9)}
    for instruction_set, (old, new, _) in wider.items():
        file = source / "kernels" / instruction_set / "mod.rs"
        text, n = re.subn(r"(dense: \[[\d ]*)%s" % re.escape(old), r"\g<1>" + new, file.read_text(), count=1)
        if not n:
            sys.exit(f"{file}: no list of dense tiles that ends in \"{old}\"; change `wider` in tests/kernel_assembly.py")
        file.write_text(text)
    failures = check(source, compile_alone(source, WORK / "too_wide"), table=False)
    for instruction_set, (_, _, width) in wider.items():
        if not any(f.startswith(f"{instruction_set} dense<{width}, 2, ") and "on the stack" in f for f in failures):
            missing.append(f"{instruction_set}: {width} x 2 accumulators are more than there are registers, and passed")
    return missing


def main():
    if platform.machine() != "x86_64":
        print(f"SKIPPED: kernels' assembly, which is checked for x86_64, not for {platform.machine()}")
        return
    WORK.mkdir(parents=True, exist_ok=True)
    source = ROOT / "src" / "convnet"
    if sys.argv[1:] == ["--prove"]:
        failures = prove()
    elif not sys.argv[1:]:
        for name, reason in EXEMPT.items():
            print(f"May use the stack: {name}: {reason}")
        failures = check(source, compile_alone(source, WORK / "alone"))
    else:
        sys.exit(__doc__)
    for failure in failures:
        print(failure, file=sys.stderr)
    if failures:
        sys.exit(f"{len(failures)} failures.")
    print("Tiles that are too wide are found." if sys.argv[1:] else "No tile keeps vectors on the stack.")


main()
