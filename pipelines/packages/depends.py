#!/usr/bin/env python3
"""Prints what a Debian package has to depend on for the libraries that its programs link: depends.py SYMBOLS FILE...

SYMBOLS is the folder of Debian's symbols files (/var/lib/dpkg/info, or one that build.sh has filled for another
architecture). The rule is that of dpkg-shlibdeps: for each library the package that has it, at the least version that
has every symbol used. Versions that a program wants without a symbol count too: GLIBC_ABI_DT_RELR, of relocations in
their short form. dpkg-shlibdeps asks the database of the machine that it runs on, so it knows no libraries of an unpacked
root. `depends.py --prove SYMBOLS FILE...` compares with it, on a machine whose libraries these are. Programs for a later
system than Debian 12 are refused, unless `--here` comes first.
"""
import glob, os, re, subprocess, sys, tempfile

# The plugin asks for interfaces of GStreamer 1.22 while it runs, beside those that it links.
AT_LEAST = {'libgstreamer1.0-0': '1.22', 'libgstreamer-plugins-base1.0-0': '1.22'}
# Debian 12's. A package that wants a later one cannot be installed there.
NEWEST_LIBC = '2.36'


def symbols_files(folder):
    """Library -> (package, least version of any use, symbol -> version)."""
    libraries = {}
    for path in sorted(glob.glob(os.path.join(folder, '*.symbols'))):
        package = os.path.basename(path).removesuffix('.symbols').split(':')[0]
        symbols = None
        for line in open(path):
            if line[0] in '|*':
                continue
            elif line[0] == ' ':
                symbol, version = line.split()[:2]
                symbols[symbol] = version
            elif line.strip():
                library, depends = line.split()[:2]
                symbols = {}
                if depends == package:
                    libraries[library] = (package, symbols)
    return libraries


def read_program(path):
    """Libraries that a program or a library names, and the symbols that it takes, as symbols files write them."""
    text = subprocess.run(['readelf', '--wide', '--dynamic', '--dyn-syms', '--version-info', path], check=True, stdout=subprocess.PIPE,
                          text=True, env={**os.environ, 'LC_ALL': 'C'}).stdout
    libraries = re.findall(r'\(NEEDED\).*\[(.*)\]', text)
    wanted = text[text.find('Version needs section'):]
    symbols = [(f'{version}@{version}', True) for version in re.findall(r'Name: (\S+)  Flags:', wanted)]
    for line in text.splitlines():
        # Num: Value Size Type Bind Vis Ndx Name@Version (n)
        fields = line.split()
        if len(fields) >= 8 and fields[6] == 'UND' and fields[4] in ('GLOBAL', 'WEAK'):
            name, _, version = fields[7].partition('@')
            symbols.append((f'{name}@{version.lstrip("@") or "Base"}', fields[4] == 'WEAK'))
    return libraries, symbols


def newer(a, b):
    return subprocess.run(['dpkg', '--compare-versions', a, 'gt', b]).returncode == 0


def depends(folder, programs):
    """Package -> least version."""
    known, least = symbols_files(folder), {}
    for program in programs:
        libraries, symbols = read_program(program)
        unknown = [library for library in libraries if library not in known]
        if unknown:
            sys.exit(f'{program}: links {", ".join(unknown)}, which no symbols file in {folder} has')
        for library in libraries:
            package = known[library][0]
            least.setdefault(package, '0')
        for symbol, weak in symbols:
            owners = [known[library] for library in libraries if symbol in known[library][1]]
            if not owners and not weak:
                sys.exit(f'{program}: takes {symbol}, which none of {", ".join(libraries)} has')
            for package, versions in owners[:1]:
                if newer(versions[symbol], least[package]):
                    least[package] = versions[symbol]
    return least


def prove(folder, programs):
    ours = depends(folder, programs)
    with tempfile.TemporaryDirectory() as at:
        os.mkdir(os.path.join(at, 'debian'))
        open(os.path.join(at, 'debian', 'control'), 'w').write('Source: x\n\nPackage: x\nArchitecture: any\n')
        text = subprocess.run(['dpkg-shlibdeps', '-O', '--ignore-missing-info', *map(os.path.abspath, programs)], cwd=at,
                              check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    theirs = dict(re.findall(r'([^\s=]+) \(>= ([^)]*)\)', text))
    # It sees no versions without symbols.
    names = {*ours, *theirs} - {'libc6'}
    wrong = {name: (ours.get(name), theirs.get(name)) for name in names if ours.get(name) != theirs.get(name)}
    if newer(theirs.get('libc6', '0'), ours['libc6']):
        wrong['libc6'] = (ours['libc6'], theirs['libc6'])
    print(f'{len(ours)} packages, as dpkg-shlibdeps says' if not wrong else f'ours, dpkg-shlibdeps: {wrong}')
    return 1 if wrong else 0


def main(arguments):
    proving, here = arguments[:1] == ['--prove'], arguments[:1] == ['--here']
    folder, *programs = arguments[proving or here:]
    if proving:
        return prove(folder, programs)
    least = depends(folder, programs)
    if not here and newer(least.get('libc6', '0'), NEWEST_LIBC):
        sys.exit(f'the programs want libc6 {least["libc6"]}, and Debian 12 has {NEWEST_LIBC}: build against its libraries')
    for package, version in AT_LEAST.items():
        if package in least and newer(version, least[package]):
            least[package] = version
    print(', '.join(f'{package} (>= {version})' for package, version in sorted(least.items())))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
