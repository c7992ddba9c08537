#!/bin/sh
# README's table of speed, in Markdown, from the newest record in tests/benches/figures:
#   tests/benches/speed_table.sh [--check | --write] [README]
# --check fails unless README has the table between its two marker lines; --write puts it there. FIGURES names another
# folder of records. Needs Python, and measures nothing: tests/bench_models.sh does, and writes the record.
set -e
root=$(cd "$(dirname "$0")/../.." && pwd)
export PYTHONDONTWRITEBYTECODE=1
exec "${PEERS_PYTHON:-python3}" "$root/tests/peers/speed_table.py" "$@"
