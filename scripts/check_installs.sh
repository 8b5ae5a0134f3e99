#!/usr/bin/env bash
# Builds the sdist and the wheel, installs them in empty environments outside the checkout, and uses them there:
# help, a caption, its figure and page, a short training, its evaluation. One environment at a time, removed after
# use: each takes up to 6 GB and, on two cores, some five minutes.
#   bash scripts/check_installs.sh                   every Python from 3.10 to 3.13 that is found, and lowest
#   bash scripts/check_installs.sh 3.12 lowest       these: "lowest" is Python 3.10 with the lowest versions declared
#   bash scripts/check_installs.sh --tests lowest    the default tests too, against what is installed
set -euo pipefail
checkout="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
tests=""
if [ "${1:-}" = --tests ]; then
    tests=yes
    shift
fi
[ $# -gt 0 ] || set -- 3.10 3.11 3.12 3.13 lowest
extras=coco,heic,raw,jxl,completion,web
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONNOUSERSITE=1 MPLBACKEND=agg
unset PYTHONPATH CAPTIONER_CHECKPOINT
export CAPTIONER_CACHE="$work/cache"

python_of() {  # the interpreter of a version: on the PATH, or pyenv's
    local version="$1" found
    for found in "$(command -v "python$version" || true)" "$HOME"/.pyenv/versions/"$version".*/bin/python; do
        if [ -x "$found" ] && "$found" -c 'import venv, ssl' 2>/dev/null; then
            echo "$found"
            return
        fi
    done
    return 1
}

build() {  # the sdist, and the wheel that is made of it
    local python
    python="$(python_of 3.12 || python_of 3.11 || python_of 3.13 || python_of 3.10)"
    "$python" -m venv "$work/build"
    "$work/build/bin/pip" install -qq build
    mkdir "$work/tree"
    (cd "$checkout" && git archive HEAD) | tar -x -C "$work/tree"
    "$work/build/bin/python" -m build --outdir "$work/dist" "$work/tree" >"$work/build.log" 2>&1 ||
        { cat "$work/build.log" >&2; exit 1; }
    rm -rf "$work/build"
    wheel="$(ls "$work"/dist/*.whl)"
    sdist="$(ls "$work"/dist/*.tar.gz)"
    ls -l "$work/dist"
}

lowest() {  # name==version of every requirement with a lower bound, read from the wheel
    "$1" - "$wheel" <<'PYTHON'
import re, sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
for line in wheel.read(name).decode().splitlines():
    bound = re.match(r"Requires-Dist: ([\w.-]+)>=([\w.]+)", line)
    if bound and "dev" not in line.partition("extra ==")[2] and "browser" not in line.partition("extra ==")[2]:
        print(f"{bound[1]}=={bound[2]}")
PYTHON
}

use() {  # every kind of command, in an empty folder
    local bin="$1" photo
    photo="$("$bin/python" -c 'import matplotlib; print(matplotlib.get_data_path())')/sample_data/grace_hopper.jpg"
    "$bin/captioner" --help >help.txt
    "$bin/captioner" caption "$photo" | tee caption.txt
    grep -q "man" caption.txt
    "$bin/captioner" attend "$photo" --output figures
    "$bin/captioner" attend "$photo" --output pages --format html
    test -s figures/grace_hopper.png && ls pages
    "$bin/captioner" train experiment=quickstart data.train=400 data.val=20 training.epochs=1 output=run \
        >train.txt 2>&1 || { tail -n 20 train.txt; return 1; }
    "$bin/captioner" evaluate checkpoint=run data.test=20 output=scores | tail -n 12
    test -s scores/scores.json
    "$bin/captioner" serve --help >serve.txt
    "$bin/captioner" completion bash >completion.txt
}

try() {
    local name="$1" version="$1" python bin started=$SECONDS
    [ "$name" != lowest ] || version=3.10
    python="$(python_of "$version")" || { echo "check_installs: no Python $version; left out"; return; }
    "$python" -m venv "$work/env"
    bin="$work/env/bin"
    echo "== $name: $("$python" --version)"
    : >"$work/constraints.txt"
    [ "$name" != lowest ] || lowest "$python" >"$work/constraints.txt"
    "$bin/pip" install -qq --constraint "$work/constraints.txt" "captioner[$extras] @ file://$wheel"
    "$bin/pip" list --format freeze | grep -i -E \
        '^(torch|torchvision|pillow|numpy|nltk|hydra-core|timm|safetensors|matplotlib|tensorboard|tqdm)==' | xargs
    mkdir "$work/folder"
    (cd "$work/folder" && use "$bin")
    if [ -n "$tests" ]; then
        "$bin/pip" install -qq --constraint "$work/constraints.txt" pytest hypothesis jsonschema pytest-xdist
        mkdir "$work/checked"
        cp -r "$checkout"/{tests,benchmarks,docs,scripts,conf,pyproject.toml,README.md} "$work/checked"
        (cd "$work/checked" && "$bin/python" -m pytest -q -p no:cacheprovider --deselect \
            tests/test_architecture.py::test_wheel_holds_the_tree)
    fi
    "$bin/pip" install -qq --force-reinstall --no-deps "$sdist"
    rm -rf "$work/folder"
    mkdir "$work/folder"
    (cd "$work/folder" && "$bin/captioner" scenes images --count 1 && "$bin/captioner" caption images)
    rm -rf "$work/env" "$work/folder" "$work/checked"
    echo "== $name: works, $((SECONDS - started)) s"
}

build
for name; do
    try "$name"
done
echo "check_installs: all of $* work"
