#!/usr/bin/env bash
# Makes .venv from requirements.lock, with this project installed into it; where it is up to date, does nothing.
#
#   deploy/setup.sh        what every target of the Makefile calls first
#   deploy/setup.sh lock   pins requirements.lock anew from pyproject.toml

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# An activated environment or a PYTHONPATH of somebody else must not leak into ours.
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX PIP_TARGET PIP_PREFIX PIP_USER PIP_REQUIRE_VIRTUALENV

readonly venv=${VENV:-.venv}
readonly stamp=$venv/.stamp

say() { printf '%s\n' "$*" >&2; }
fail() { say "setup: $*"; exit 1; }

# What an up-to-date environment was made from: the lock, the project file, and where it stands (a moved
# environment is broken, as its scripts name their interpreter by its full path).
fingerprint() {
    { cksum pyproject.toml requirements.lock; pwd -P; } 2>/dev/null | cksum
}

is_up_to_date() {
    [[ -f $stamp && "$(<"$stamp")" == "$(fingerprint)" ]] && "$venv/bin/python" -I -S -c '' 2>/dev/null
}

# Prints the interpreter to build with: the real one, also when the first on the PATH is an environment's.
find_python() {
    local name
    for name in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14 python; do
        "$name" -I -c 'import sys
if sys.version_info < (3, 11): raise SystemExit(1)
print(sys._base_executable)' 2>/dev/null && return
    done
    fail "Python 3.11 or newer is needed, and none was found on the PATH.
  On Debian or Ubuntu type:  sudo apt-get install python3 python3-venv
  On macOS type:             brew install python@3.13
  If it is installed somewhere else:  make PYTHON=/full/path/to/python3 <target>"
}

# Debian ships the module that fills a new environment (ensurepip) as a package of its own.
ensure_venv_module() {
    local python=$1 package run_as_root=()
    "$python" -I -c 'import ensurepip, venv' 2>/dev/null && return
    package=$("$python" -I -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [[ $EUID -ne 0 ]]; then run_as_root=(sudo -n); fi
    if ! command -v apt-get >/dev/null || ! ${run_as_root[@]+"${run_as_root[@]}"} true 2>/dev/null; then
        fail "$python cannot make an environment, as its module ensurepip is missing.
  On Debian or Ubuntu type:  sudo apt-get install $package"
    fi
    say "setup: installing $package through apt-get, as $python cannot make an environment without it"
    ${run_as_root[@]+"${run_as_root[@]}"} apt-get update -qq
    ${run_as_root[@]+"${run_as_root[@]}"} env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$package" >&2
}

make_venv() {
    local folder=$1 python
    python=$(find_python)
    ensure_venv_module "$python"
    "$python" -I -m venv --clear "$folder"
}

pip_into() { local folder=$1; shift; "$folder/bin/python" -I -m pip -qq --disable-pip-version-check "$@"; }

# Whether an older environment can be brought up to date instead of being made anew.
can_be_kept() {
    [[ -f $venv/.here && "$(<"$venv/.here")" == "$(pwd -P)" ]] && pip_into "$venv" --version &>/dev/null
}

install() {
    [[ -f requirements.lock ]] || fail "requirements.lock is missing; type: make lock"
    if ! can_be_kept; then
        say "setup: making $venv"
        make_venv "$venv"
        pwd -P >"$venv/.here"
    fi
    say "setup: installing what requirements.lock names"
    rm -f "$stamp"
    pip_into "$venv" install --require-hashes -r requirements.lock
    # The builder is in the lock too, so nothing is fetched past the hashes.
    pip_into "$venv" install --no-deps --no-build-isolation --editable .
    fingerprint >"$stamp"
}

lock() {
    local tool=.setup/lock
    [[ -x $tool/bin/uv ]] || { make_venv "$tool"; pip_into "$tool" install uv; }
    # No header, no index and no annotation: the file must be the same wherever it is made.
    "$tool/bin/uv" pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-annotate --no-header --upgrade --quiet \
        --output-file requirements.lock
    say "setup: requirements.lock pins $(grep -c '==' requirements.lock) packages"
}

# Two targets at once must not build the same environment; flock is on every Linux, and elsewhere goes without.
mkdir -p .setup
exec 9>.setup/mutex
if [[ ${1:-} == lock ]]; then
    lock
elif ! is_up_to_date; then
    if command -v flock >/dev/null; then flock 9; fi
    is_up_to_date || install
fi
