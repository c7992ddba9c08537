#!/usr/bin/env python3
"""Checks what can be counted of the language: lengths of README and guide, stiff beginnings, names that say nothing.

    tests/language.py            everything
    tests/language.py src/base   the sources below a folder alone

Ends with 1 and a line for each finding. Whether a text is clear has to be read.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README_LINES, README_COLUMNS, GUIDE_LINES, SENTENCE_WORDS = 180, 100, 150, 30
STIFF = ("Of", "As", "That", "Those", "What")
NAMELESS = re.compile(r"\bfn (told|of)\b")
DOC = re.compile(r"\s*//[/!] ?(.*)")


def texts(page):
    """Yields (line, text) for each paragraph, list item and table cell of a page, without fenced blocks."""
    fenced, begin, paragraph = False, 0, []

    def flush():
        if paragraph:
            yield begin, " ".join(paragraph)
            paragraph.clear()

    for number, line in enumerate(page.splitlines(), 1):
        if line.startswith("```"):
            yield from flush()
            fenced = not fenced
        elif fenced:
            continue
        elif line.startswith("|"):
            yield from flush()
            cells = re.sub(r"`[^`]*`", "Code", line).strip("|").split("|")
            yield from ((number, cell) for cell in cells)
        elif not line.strip() or line.startswith("#") or re.match(r"\[[^\]]+\]: ", line):
            yield from flush()
        else:
            if re.match(r"\s*([-*]|\d+\.) ", line):
                yield from flush()
                line = re.sub(r"^\s*([-*]|\d+\.) ", "", line)
            if not paragraph:
                begin = number
            paragraph.append(line.strip())
    yield from flush()


def sentences(text):
    """Splits a text; code and links count as the words that a reader sees."""
    text = re.sub(r"`[^`]*`", "Code", text)
    text = re.sub(r"!?\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])", r"\1", text)
    return re.split(r"(?<=[.!?])[*\")]* +(?=[^a-z])", text)


def long_sentences(path):
    for number, text in texts(path.read_text()):
        for sentence in sentences(text):
            words = [word for word in sentence.split() if any(map(str.isalnum, word))]
            if len(words) > SENTENCE_WORDS:
                yield f"{path.relative_to(ROOT)}:{number}: {len(words)} words, at most {SENTENCE_WORDS}: {sentence.strip()}"


def pages():
    readme, guide = ROOT / "README.md", sorted((ROOT / "src/guide").glob("*.md"))
    lines = readme.read_text().splitlines()
    if len(lines) > README_LINES:
        yield f"README.md: {len(lines)} lines, at most {README_LINES}"
    for number, line in enumerate(lines, 1):
        if len(line) > README_COLUMNS:
            yield f"README.md:{number}: {len(line)} columns, at most {README_COLUMNS}"
    for page in guide:
        lines = len(page.read_text().splitlines())
        if lines > GUIDE_LINES:
            yield f"{page.relative_to(ROOT)}: {lines} lines, at most {GUIDE_LINES}"
    for page in [readme, *guide]:
        yield from long_sentences(page)


def source(path):
    name, within = path.relative_to(ROOT), False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        doc = DOC.fullmatch(line)
        if doc and not within and doc[1].split(" ")[0].rstrip(",:;") in STIFF:
            yield f'{name}:{number}: begins with "{doc[1].split(" ")[0]}": {doc[1]}'
        within = doc is not None
        if not doc and (found := NAMELESS.search(line)):
            yield f"{name}:{number}: a function named {found[1]} does not say what it does"


def main(folders):
    findings = [] if folders else list(pages())
    for folder in folders or ["src"]:
        for path in sorted((ROOT / folder).rglob("*.rs")):
            findings += source(path)
    print(*findings, sep="\n", end="\n" if findings else "")
    if findings:
        sys.exit(f"{len(findings)} findings.")


if __name__ == "__main__":
    main(sys.argv[1:])
