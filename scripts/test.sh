#!/usr/bin/env bash
# Lint, format, types and the default tests; arguments go to pytest, as in: bash scripts/test.sh -m slow
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/venv.sh "[dev]"

ruff check .
ruff format --check .
mypy
python -m pytest "$@"
