"""Caption a photo with an exported model, beam search included: python caption.py PHOTO [BEAM_SIZE]"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

folder = Path(__file__).resolve().parent
model = json.loads((folder / "model.json").read_text(encoding="utf-8"))
sessions = {name: onnxruntime.InferenceSession(folder / p["file"]) for name, p in model["programs"].items()}
words, (pad, start, end, unknown) = model["vocabulary"]["words"], model["special"].values()
search, side = model["search"], model["photo"]["side"]
beam_size = int(sys.argv[2]) if len(sys.argv) > 2 else search["beam_size"]


def run(name: str, *arrays: np.ndarray) -> list[np.ndarray]:
    return sessions[name].run(None, dict(zip(model["programs"][name]["inputs"], arrays)))


file = Image.open(sys.argv[1])
file.draft("RGB", (side, side))  # a large JPEG is read at a fraction of its size
photo = ImageOps.exif_transpose(file).convert("RGBA")
photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo).convert("RGB")
left, top = max(0, photo.width - photo.height) / 2, max(0, photo.height - photo.width) / 2
square = (left, top, photo.width - left, photo.height - top) if model["photo"]["resize"] == "crop" else None
photo = photo.resize((side, side), Image.Resampling.BILINEAR, square, reducing_gap=3.0)
(annotations,) = run("encoder", np.asarray(photo).transpose(2, 0, 1)[None])
keys, *state = run("init_state", annotations)

scores, said = np.zeros(1), np.array([[start]])  # log probability and words of each hypothesis
finished: list[tuple[float, np.ndarray]] = []
for length in range(1, search["max_length"] + 1):
    log_probs, *others = run("step", said[:, -1], 0 * said[:, -1], annotations, keys, *state)
    totals = scores[:, None] + log_probs
    totals[:, [pad, start, unknown] + [end] * (length == 1)] = -np.inf
    order = np.argsort(-totals, axis=None, kind="stable")[: beam_size - len(finished)]
    row, word = np.divmod(order, len(words))
    scores, said, ended = totals.ravel()[order], np.c_[said[row], word], word == end
    scaled = scores / length ** search["length_normalization"]
    finished += list(zip(scaled[ended], said[ended][:, :-1]))
    scores, said, row = scores[~ended], said[~ended], row[~ended]
    if not len(said):
        break
    state = [part[row] for part in others[-model["states"] :]]
_, best = max(finished or zip(scores, said), key=lambda found: found[0])
print(("" if model["vocabulary"]["unit"] == "character" else " ").join(words[i] for i in best[1:]))
