#!/usr/bin/env bash
# Makes .venv from requirements.lock, with this project installed; does nothing when .venv is up to date.
#
#   deploy/setup.sh        the first step of every target of the Makefile
#   deploy/setup.sh lock   pins requirements.lock anew from pyproject.toml

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source deploy/phase.sh

# Variables of another Python environment must not leak into this one.
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX PIP_TARGET PIP_PREFIX PIP_USER PIP_REQUIRE_VIRTUALENV

readonly venv=.venv
readonly stamp=$venv/.stamp

# The inputs of an environment: the lock, the project file, and the folder (a moved environment is broken,
# because its scripts name their interpreter by its full path).
fingerprint() {
    { cksum pyproject.toml requirements.lock; pwd -P; } 2>/dev/null | cksum
}

is_up_to_date() {
    [[ -f $stamp && "$(<"$stamp")" == "$(fingerprint)" ]] && "$venv/bin/python" -I -S -c '' 2>/dev/null
}

# Prints the interpreter to build with: the base interpreter, also when an environment is active.
find_python() {
    local name
    for name in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14 python; do
        "$name" -I -c 'import sys
if sys.version_info < (3, 11): raise SystemExit(1)
print(sys._base_executable)' 2>/dev/null && return
    done
    fail "no Python 3.11 or newer was found on the PATH.
  On Debian or Ubuntu type:  sudo apt-get install python3 python3-venv
  On macOS type:             brew install python@3.13
  If Python is elsewhere:    make PYTHON=/full/path/to/python3 <target>"
}

# Debian ships the module that fills a new environment (ensurepip) in a package of its own.
ensure_venv_module() {
    local python=$1 package
    "$python" -I -c 'import ensurepip, venv' 2>/dev/null && return
    package=$("$python" -I -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    can_use_apt || fail "$python cannot make an environment: its module ensurepip is missing.
  On Debian or Ubuntu type:  sudo apt-get install $package"
    phase "$package" apt_install "$package"
}

make_venv() { "$1" -I -m venv --clear "$2" && pwd -P >"$2/.here"; }

pip_into() { local folder=$1; shift; "$folder/bin/python" -I -m pip --disable-pip-version-check "$@"; }

# Whether an older environment can be brought up to date instead of being made anew.
can_be_kept() {
    [[ -f $venv/.here && "$(<"$venv/.here")" == "$(pwd -P)" ]] && pip_into "$venv" --version &>/dev/null
}

# The lock contains the builder too: nothing is fetched past the hashes.
install_packages() {
    pip_into "$venv" install --progress-bar off --require-hashes -r requirements.lock &&
        pip_into "$venv" install --progress-bar off --no-deps --no-build-isolation --editable .
}

install() {
    local python
    [[ -f requirements.lock ]] || fail "requirements.lock is missing; type: make lock"
    if ! can_be_kept; then
        python=$(find_python)
        ensure_venv_module "$python"
        phase "Python environment" make_venv "$python" "$venv"
    fi
    rm -f "$stamp"
    phase "Python packages" install_packages
    fingerprint >"$stamp"
}

# No header, no index and no annotation: the file must be the same on every machine.
compile_lock() {
    local tool=$1
    if [[ ! -x $tool/bin/uv ]]; then make_venv "$2" "$tool" && pip_into "$tool" install uv; fi &&
        "$tool/bin/uv" pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
            --generate-hashes --no-emit-index-url --no-annotate --no-header --upgrade --quiet \
            --output-file requirements.lock
}

lock() {
    local python
    python=$(find_python)
    ensure_venv_module "$python"
    phase "requirements.lock" compile_lock .setup/lock "$python"
    say "requirements.lock pins $(grep -c '==' requirements.lock) packages"
}

# Two targets of make at once must not build the same environment; flock is on every Linux.
mkdir -p .setup
exec 9>.setup/mutex
if [[ ${1:-} == lock ]]; then
    lock
elif ! is_up_to_date; then
    if command -v flock >/dev/null; then flock 9; fi
    is_up_to_date || install
fi
