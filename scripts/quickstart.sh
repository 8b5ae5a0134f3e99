#!/usr/bin/env bash
# From nothing to a captioner: installs into .venv, trains on generated scenes, evaluates, captions and draws
# where the model looked; then real photos with the model that comes along. Some three minutes on two cores,
# once installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/venv.sh ""

out=runs/quickstart
[ ! -e "$out" ] || out+=-$(date +%Y%m%d-%H%M%S) # an earlier one stays

echo "1. Train on generated scenes"
captioner train experiment=quickstart output="$out"

echo "2. Evaluate on scenes that it has not seen"
captioner evaluate checkpoint="$out/model.safetensors" output="$out/scores"

echo "3. Caption an image"
captioner scenes "$out/images" --count 4
captioner caption "$out/images" --checkpoint "$out/model.safetensors"

echo "4. Draw where it looked for every word"
captioner attend "$out/images" --checkpoint "$out/model.safetensors" --output "$out/attention"

echo "5. Caption real photos, and draw attention, with the model that comes with captioner"
captioner caption captioner/web/photos
captioner attend captioner/web/photos --output "$out/photos" --format html
