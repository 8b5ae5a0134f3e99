#!/usr/bin/env bash
# Lint, format, types and the default tests; arguments go to pytest, as in: bash scripts/test.sh -m slow
# --browser, first, also installs what the tests of the page need: selenium, and Chromium where apt can.
# --ray, first or after --browser, also installs Ray and runs the tests that start a cluster on this machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
extras="[dev]"
if [ "${1:-}" = --browser ]; then
    shift
    extras="[dev,browser]"
    if ! command -v chromedriver >/dev/null && command -v apt-get >/dev/null; then
        as_root=""
        [ "$(id -u)" = 0 ] || as_root=sudo
        $as_root apt-get update -qq
        $as_root apt-get install -y -qq --no-install-recommends chromium chromium-driver
    fi
fi
if [ "${1:-}" = --ray ]; then
    shift
    extras="${extras%]},ray]"
    set -- -m "not slow" "$@"
fi
source scripts/venv.sh "$extras"

ruff check .
ruff format --check .
mypy
python -m pytest --numprocesses auto "$@"  # a process a core
