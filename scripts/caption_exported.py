"""Caption photos with what `captioner export --format onnx` wrote, to be scored as `predictions=`:

python scripts/caption_exported.py EXPORTED photos/ --output captions.jsonl
captioner evaluate predictions=captions.jsonl data=flickr8k data.root=DIR split=dev missing=skip
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import onnx
import torch

from captioner.config.search import SearchConfig
from captioner.data.photos.prefetch import prefetched
from captioner.data.photos.preprocess import Preprocess
from captioner.decoding.search import search
from captioner.export.exported import Exported
from captioner.export.onnx_programs import onnx_run

BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("exported", type=Path, help="the folder that the export wrote")
    parser.add_argument("photos", type=Path, help="a folder of photos, or a list of their paths (.txt)")
    parser.add_argument("--output", type=Path, required=True, help="a .jsonl of path and caption")
    options = parser.parse_args()
    model = json.loads((options.exported / "model.json").read_text(encoding="utf-8"))
    run = {
        name: onnx_run(onnx.load(options.exported / program["file"]))
        for name, program in model["programs"].items()
    }
    exported = Exported(run, tuple(model["programs"]["step"]["outputs"]))
    preprocess = Preprocess(model["photo"]["side"], model["photo"]["resize"])
    words = model["vocabulary"]["words"]
    if options.photos.is_dir():
        paths = sorted(path for path in options.photos.iterdir() if path.is_file())
    else:
        paths = [options.photos.parent / line for line in options.photos.read_text().split("\n") if line]

    def pixels(path: Path) -> torch.Tensor:
        return preprocess.pixels(preprocess.view(path).square)

    with open(options.output, "x", encoding="utf-8") as file:
        done = iter(paths)
        for batch in prefetched(paths, pixels, BATCH, workers=2):
            for hypotheses in search(exported, exported.encode(torch.stack(batch)), SearchConfig()):
                caption = " ".join(words[word] for word in hypotheses[0].words)
                file.write(json.dumps({"path": str(next(done)), "caption": caption}) + "\n")


if __name__ == "__main__":
    main()
