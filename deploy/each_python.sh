#!/usr/bin/env bash
# Runs a Python command in .venv, and in an environment for each newer CPython that pyenv has installed.
#
#   deploy/each_python.sh -m pytest …

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

status=0
.venv/bin/python "$@" || status=$?
for version in 3.12 3.13; do
    python=$(printf '%s\n' "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/python | sort -V | tail -n 1)
    if [[ ! -x $python ]]; then
        printf 'pyenv has no CPython %s: skipped\n' "$version" >&2
        continue
    fi
    printf 'CPython %s: %s\n' "$version" "$python" >&2
    PYTHON=$python VENV=.venv-$version deploy/setup.sh
    ".venv-$version/bin/python" "$@" || status=$?
done
exit "$status"
