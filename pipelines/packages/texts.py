#!/usr/bin/env python3
"""Prints texts that a Debian package carries: texts.py copyright TRIPLE, or texts.py changelog PACKAGE VERSION MAINTAINER DATE

The copyright file names everything that the programs link, with its copyright notices, and holds each licence once. It is
made from cargo's metadata and from the sources that cargo has fetched; a network is not needed. The changelog is
src/guide/changes.md, as Debian's changelogs are written.
"""
import importlib.util, itertools, json, os, re, subprocess, sys, textwrap, tomllib

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))
# Where a package may be had under one of several licences, the first of these is taken that serves.
PREFERRED = ['MIT', 'Zlib', 'ISC', 'Apache-2.0', 'Unicode-3.0', 'Apache-2.0 WITH LLVM-exception']
# A sentence by which the file with a licence's text is known.
KNOWN_BY = {
    'Zlib': "provided 'as-is'",
    'ISC': 'Permission to use, copy, modify, and/or distribute this software',
    'Unicode-3.0': 'UNICODE LICENSE V3',
    'Apache-2.0 WITH LLVM-exception': 'LLVM Exceptions to the Apache 2.0 License',
}
APACHE = 'On Debian systems, the text of this licence is in /usr/share/common-licenses/Apache-2.0.'


def dependencies():
    """tests/dependencies.py, which reads expressions of licences."""
    spec = importlib.util.spec_from_file_location('dependencies', os.path.join(ROOT, 'tests/dependencies.py'))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def linked(triple):
    """The packages whose code is in the programs: no build scripts, no macros, no tests."""
    text = subprocess.run(['cargo', 'metadata', '--locked', '--offline', '--features', 'bench', '--format-version', '1',
                           '--filter-platform', triple], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    meta = json.loads(text)
    packages = {package['id']: package for package in meta['packages']}
    nodes = {node['id']: node for node in meta['resolve']['nodes']}
    found, waiting = {}, [meta['resolve']['root']]
    while waiting:
        package = packages[waiting.pop()]
        if package['id'] in found or any('proc-macro' in target['kind'] for target in package['targets']):
            continue
        found[package['id']] = package
        waiting += [dep['pkg'] for dep in nodes[package['id']]['deps'] if any(k['kind'] is None for k in dep['dep_kinds'])]
    del found[meta['resolve']['root']]
    return sorted(found.values(), key=lambda package: (package['name'], package['version']))


def chosen(expression, allows):
    """The fewest licences of PREFERRED that an expression is satisfied with."""
    for count in range(1, len(PREFERRED) + 1):
        for some in itertools.combinations(PREFERRED, count):
            if allows(expression, set(some)):
                return list(some)
    sys.exit(f'the licence {expression} is satisfied by none of {", ".join(PREFERRED)}')


def files_of(package, names):
    folder = os.path.dirname(package['manifest_path'])
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if re.match(names, name, re.I) and os.path.isfile(path):
            yield open(path, errors='replace').read()


def own_notices():
    with open(os.path.join(ROOT, 'LICENSE-MIT')) as file:
        return [line.removeprefix('Copyright').strip() for line in file if line.startswith('Copyright')]


def notices(package):
    """Who holds the copyright: the lines that say so in its licence files, else its authors."""
    if package['source'] is None:
        return own_notices()
    lines = []
    for text in files_of(package, r'licen[cs]e|copying|copyright|unlicense'):
        for line in text.splitlines():
            line = line.strip(' \t*#/')
            # Not the template at the end of Apache-2.0, nor sentences about copyright.
            if re.match(r'(copyright\b.*(\d{4}|\(c\)|©)|©|\(c\) *\d)', line, re.I) and '[yyyy]' not in line and '{yyyy}' not in line:
                lines.append(re.sub(r'^copyright:?\s*', '', line, flags=re.I).strip())
    authors = ', '.join(package['authors']) or f'the authors of {package["name"]}'
    # Some files have a year alone.
    lines = [f'{line} {authors}' if re.fullmatch(r'(\(c\) *)?\d{4}', line, re.I) else line for line in lines if line]
    return list(dict.fromkeys(lines)) or [authors]


def field(name, lines):
    """A field of a control file; empty lines get their point."""
    return f'{name}: ' + '\n '.join(line.rstrip() or '.' for line in lines)


def stanza(*fields):
    print('\n'.join(fields), end='\n\n')


def licence_text(name, packages):
    """The text of a licence without notices, as the sources of a package that has it give it."""
    if name == 'MIT':
        text = open(os.path.join(ROOT, 'LICENSE-MIT')).read()
        return text[text.index('Permission is hereby'):]
    if name == 'Apache-2.0':
        return APACHE
    for package in packages:
        for text in files_of(package, r'licen[cs]e|copying'):
            if KNOWN_BY[name] in text:
                if 'LLVM' in name:
                    return APACHE + '\n\n' + text[text.index('---- LLVM'):]
                return re.sub(r'(?im)^\s*(copyright\b.*(\d{4}|\(c\)).*|©.*)\n', '', text)
    sys.exit(f'no linked package has a file with the text of {name}')


def copyright_file(triple):
    allows = dependencies().allows
    packages = linked(triple)
    stanza('Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/',
           'Upstream-Name: gst-plugin-detect',
           field('Comment', ['The programs are linked from the sources of this project and of the packages below, each of',
                             'which is named as a folder rust/NAME-VERSION. Versions are those of Cargo.lock.']))
    stanza('Files: *', field('Copyright', own_notices()), 'License: MIT or Apache-2.0')
    stanza('Files: src/model/builtin/blazeface_back_256.onnx', 'Copyright: Google LLC', 'License: Apache-2.0',
           field('Comment', textwrap.wrap('The face detector that is built in: BlazeFace of MediaPipe, converted to ONNX by Katsuya '
                                          'Hyodo and Keijiro Takahashi.', 100)))
    stanza('Files: pipelines/astronaut.jpg', 'Copyright: none, a work of NASA', 'License: public-domain',
           ' A portrait of Eileen Collins by NASA, which is in the public domain.')
    used = {'MIT', 'Apache-2.0'}
    font = None
    for package in packages:
        licences = chosen(package['license'], allows)
        used.update(licences)
        lines = [field('Files', [f'rust/{package["name"]}-{package["version"]}/*']), field('Copyright', notices(package)),
                 'License: ' + ' and '.join(map(short, licences))]
        notice = '\n\n'.join(files_of(package, r'notice'))
        if notice and 'Apache' in ' '.join(licences):
            lines.append(field('Comment', ['', *notice.strip().splitlines()]))
        stanza(*lines)
        if package['name'] == 'dejavu':
            font = package
    font_stanza(font)
    stanza('Files: rust/std/*', 'Copyright: The Rust Project Developers', 'License: MIT or Apache-2.0',
           field('Comment', ['The standard library, which rustc brings. What it is made of has its notices in',
                             'rust-standard-library.html, in this folder.']))
    for name in sorted(used):
        stanza(field(f'License: {short(name)}\n', []).rstrip(': \n') + '\n ' +
               '\n '.join(line.rstrip() or '.' for line in licence_text(name, packages).strip().splitlines()))


def short(licence):
    """The name of a licence without blanks, which an expression of the copyright file may not have in it."""
    return licence.replace(' WITH ', '-with-')


def font_stanza(package):
    """DejaVu Sans, whose licence comes with the font."""
    folder = os.path.dirname(package['manifest_path'])
    for place, _, names in os.walk(folder):
        for name in names:
            if re.match(r'licen[cs]e', name, re.I) and 'Bitstream' in open(os.path.join(place, name), errors='replace').read():
                text = open(os.path.join(place, name), errors='replace').read()
                stanza('Files: rust/dejavu-*/assets/*', field('Copyright', ['2003 by Bitstream, Inc.', '2006 by Tavmjong Bah',
                                                                            'DejaVu changes are in the public domain']),
                       'License: Bitstream-Vera\n ' + '\n '.join(line.rstrip() or '.' for line in text.strip().splitlines()))
                return
    sys.exit(f'{folder}: no licence of the font')


def changelog(package, version, maintainer, date):
    """The newest section of changes.md."""
    text = open(os.path.join(ROOT, 'src/guide/changes.md')).read().split('\n## ')[1]
    text = re.sub(r'\[([^]]*)\](\[[^]]*\]|\([^)]*\))', r'\1', text)
    print(f'{package} ({version}) unstable; urgency=medium\n')
    for block in re.split(r'\n(?=- |### |\n)', text)[1:]:
        block = ' '.join(block.split())
        if block.startswith('### '):
            print(f'  [ {block[4:]} ]')
        elif block.startswith('- '):
            print(textwrap.fill(block[2:], 76, initial_indent='  * ', subsequent_indent='    ', break_on_hyphens=False))
    print(f'\n -- {maintainer}  {date}')


def main(arguments):
    if arguments[:1] == ['copyright'] and len(arguments) == 2:
        copyright_file(arguments[1])
    elif arguments[:1] == ['changelog'] and len(arguments) == 5:
        changelog(*arguments[1:])
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main(sys.argv[1:])
