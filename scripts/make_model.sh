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
    train "$folder/self_critical_$seed" phase=self_critical "init=$folder/likelihood" encoder.fine_tune=false \
        phase.annotation_dropout=0.3 training.epochs=4 "training.seed=$seed"
done
captioner average "$folder/likelihood" "$folder/self_critical_0" "$folder/self_critical_1" --weights 1 2 2 \
    --half --notice "$notice" --output "$folder/pretrained.safetensors" --overwrite
captioner evaluate "checkpoint=$folder/pretrained.safetensors" data=flickr8k "data.root=$data" split=dev \
    search.beam_size=5
