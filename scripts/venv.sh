# Sourced by the other scripts: makes .venv if it is missing, installs the project into it with the extras
# named in $1 ("" for none, "[dev]") if the project's own files changed since, and puts it on the PATH.
venv="$PWD/.venv"
if [ ! -x "$venv/bin/python" ]; then
    for python in python3 python3.13 python3.12 python3.11 python3.10 python; do
        if command -v "$python" >/dev/null &&
            "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            break
        fi
        python=""
    done
    [ -n "$python" ] || { echo "Python 3.10, 3.11, 3.12 or 3.13 is needed" >&2; exit 2; }
    "$python" -m venv "$venv"
fi
stamp="$venv/installed$1"
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".$1"
    touch "$stamp"
fi
export PATH="$venv/bin:$PATH"
