#!/usr/bin/env python3
"""Checks what this project is built from: tests/dependencies.py

By the lists of deny.toml and without a network: every licence allows the project's own, every source is cargo's own
registry or a folder of the repository, no build script of a feature that is on reaches for a network. Lists the build
scripts. Then runs `cargo deny check`, where cargo-deny is installed, for the advisories; else prints that these are skipped.
"""
import json, os, re, shutil, subprocess, sys, tomllib

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
# Code and programs that reach for a network. A link in a comment does not.
NETWORK = re.compile(r'\b(ureq|reqwest|attohttpc|hyper|curl|wget|TcpStream|UdpSocket|git2|minreq|download\w*|git (clone|fetch))\b',
                     re.I)
# Package -> features that make its build script reach for a network, and must be off.
OFF = {'ort-sys': ['download-binaries']}


def metadata(rules):
    """Packages, and the features that are on, for the machines of deny.toml together."""
    packages, features = {}, {}
    for triple in rules['graph']['targets']:
        text = subprocess.run(['cargo', 'metadata', '--locked', '--all-features', '--format-version', '1', '--filter-platform',
                               triple], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        meta = json.loads(text)
        packages.update((package['id'], package) for package in meta['packages'])
        for node in meta['resolve']['nodes']:
            features.setdefault(node['id'], set()).update(node['features'])
    return sorted(packages.values(), key=lambda package: package['name']), features


def allows(expression, allowed):
    """Whether licences of the list satisfy an SPDX expression; a slash is an old form of OR."""
    words = re.findall(r'\(|\)|[^\s()]+', expression.replace('/', ' OR '))
    formula, at = [], 0
    while at < len(words):
        word = words[at]
        if word in ('(', ')', 'AND', 'OR'):
            formula.append(word.lower())
        else:
            if words[at + 1:at + 2] == ['WITH']:
                word, at = ' '.join(words[at:at + 3]), at + 2
            formula.append(str(word in allowed))
        at += 1
    # Nothing but True, False, and, or and brackets.
    return eval(' '.join(formula), {'__builtins__': {}})


def code(text):
    """Rust without comments."""
    return re.sub(r'//[^\n]*|/\*.*?\*/', '', text, flags=re.S)


def script_of(package):
    return next((target['src_path'] for target in package['targets'] if 'custom-build' in target['kind']), None)


def script_texts(path):
    """The script, and the modules beside it that it names: build.rs, build/*.rs."""
    folder = os.path.dirname(path)
    named = re.findall(r'^\s*(?:pub )?mod (\w+);', open(path, errors='replace').read(), re.M)
    beside = [os.path.join(folder, place, f'{name}.rs') for name in named for place in ('', 'build')]
    if os.path.basename(folder) == 'build':
        beside += [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith('.rs')]
    return ''.join(code(open(file, errors='replace').read()) for file in {path, *filter(os.path.isfile, beside)})


def findings(packages, features, rules):
    allowed = set(rules['licenses']['allow'])
    for package in packages:
        name = f'{package["name"]} {package["version"]}'
        if not package['license'] or not allows(package['license'], allowed):
            yield f'{name}: licence {package["license"]}, expected one that {", ".join(sorted(allowed))} satisfy'
        if package['source'] is None:
            if not package['manifest_path'].startswith(ROOT + os.sep):
                yield f'{name}: lies at {package["manifest_path"]}, expected the repository'
        elif not re.fullmatch(r'registry\+\S+/crates\.io-index', package['source']):
            yield f'{name}: from {package["source"]}, expected the registry that cargo takes by itself'
        path = script_of(package)
        if not path:
            continue
        reaches = sorted({match[0] for match in NETWORK.findall(script_texts(path))})
        on = [feature for feature in OFF.get(package['name'], []) if feature in features.get(package['id'], ())]
        print(f'build script: {name}' + (f' (names {", ".join(reaches)}; features that do it are off)' if reaches and not on else ''))
        if on:
            yield f'{name}: the feature {on[0]} is on, whose build script reaches for a network'
        elif reaches and package['name'] not in OFF:
            yield f'{name}: its build script names {", ".join(reaches)}; read it, then add it to OFF with the features that do it'


def prove():
    """The checks find what they are for."""
    allowed = {'MIT', 'Apache-2.0', 'Unicode-3.0', 'Apache-2.0 WITH LLVM-exception'}
    for expression, good in (('MIT/GPL-3.0', True), ('MIT AND GPL-3.0', False), ('GPL-3.0', False),
                             ('(MIT OR X) AND Unicode-3.0', True), ('Apache-2.0 WITH LLVM-exception', True),
                             ('MIT WITH Odd-exception', False)):
        assert allows(expression, allowed) == good, expression
    assert NETWORK.search(code('let s = TcpStream::connect(a);')) and not NETWORK.search(code('// see curl'))


def main():
    prove()
    with open(os.path.join(ROOT, 'deny.toml'), 'rb') as file:
        rules = tomllib.load(file)
    packages, features = metadata(rules)
    wrong = list(findings(packages, features, rules))
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    print(f'{len(packages)} packages, {len(wrong)} findings')
    if shutil.which('cargo-deny'):
        # Without a network the last snapshot of the advisories has to do.
        if subprocess.run(['cargo', 'deny', 'check'], cwd=ROOT).returncode and \
                subprocess.run(['cargo', 'deny', '--offline', 'check'], cwd=ROOT).returncode:
            return 1
    else:
        print('SKIPPED: advisories, for cargo-deny is not installed (cargo install --locked cargo-deny)')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
