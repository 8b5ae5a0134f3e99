#!/usr/bin/env bash
# Makes the model that comes with captioner, from Flickr8k's training split:
#
#     bash scripts/make_model.sh FLICKR8K FOLDER
#
# FLICKR8K holds Flickr8k.token.txt, the lists of the splits and the images; runs go into FOLDER, and the model
# is written there as pretrained.safetensors. Continues where it was stopped. It takes some two hours on two
# cores with bf16. Dev chooses the weights; the test split is not read.
set -euo pipefail
data=$1 folder=$2
notice='Trained by the captioner project on the training split of Flickr8k (Hodosh et al. 2013), which is for
non-commercial research and education; no photo of it is part of this file. Encoder: EfficientNet-Lite2,
ImageNet weights by Google, Apache License 2.0. See docs/model.md.'

train() { # FOLDER KEY=VALUE...: begin the run, or go on with it
    if [ -e "$1/resume.pt" ]; then
        captioner train "resume=$1"
    else
        captioner train "output=$1" "${@:2}"
    fi
}

mkdir -p "$folder"
train "$folder/likelihood" experiment=flickr8k_best "data.root=$data"
for seed in 0 1; do
    dropout=0.$((3 + 2 * seed)) # 0.3 and 0.5
    train "$folder/self_critical_$seed" phase=self_critical "init=$folder/likelihood" encoder.fine_tune=false \
        "phase.annotation_dropout=$dropout" "training.seed=$seed"
done
captioner average "$folder/likelihood" "$folder/self_critical_0" "$folder/self_critical_1" --weights 1 2 2 \
    --half --output "$folder/rounded.safetensors" --overwrite
captioner evaluate "checkpoint=$folder/rounded.safetensors" data=flickr8k "data.root=$data" split=dev \
    grounding=true "output=$folder/scores" overwrite=true
captioner average "$folder/rounded.safetensors" --half --notice "$notice" --unfamiliar -1.06 \
    --scores "$folder/scores" --output "$folder/pretrained.safetensors" --overwrite
python "$(dirname "$0")/measure_confidence.py" --root "$data" --checkpoint "$folder/pretrained.safetensors"
