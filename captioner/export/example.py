"""Caption a photo with an exported model: python caption.py PHOTO [BEAM_SIZE]

Needs onnxruntime, numpy and Pillow; the model's files stand beside this one.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

folder = Path(__file__).resolve().parent
model = json.loads((folder / "model.json").read_text(encoding="utf-8"))
sessions = {name: onnxruntime.InferenceSession(folder / p["file"]) for name, p in model["programs"].items()}
words, special, search = model["vocabulary"]["words"], model["special"], model["search"]


def run(name: str, *arrays: np.ndarray) -> list[np.ndarray]:
    return sessions[name].run(None, dict(zip(model["programs"][name]["inputs"], arrays)))


def pixels(path: str) -> np.ndarray:
    side = model["photo"]["side"]
    file = Image.open(path)
    file.draft("RGB", (side, side))  # a large JPEG is read at a fraction of its size
    image = ImageOps.exif_transpose(file).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    (width, height), least = image.size, min(image.size)
    left, top = (width - least) / 2, (height - least) / 2
    box = (left, top, left + least, top + least) if model["photo"]["resize"] == "crop" else None
    image = image.resize((side, side), Image.Resampling.BILINEAR, box, reducing_gap=3.0)
    return np.asarray(image).transpose(2, 0, 1)[None]


def caption(path: str, beam_size: int) -> str:
    (annotations,) = run("encoder", pixels(path))
    keys, *state = run("init_state", annotations)
    live: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]  # log probability and words of each hypothesis
    finished: list[tuple[float, tuple[int, ...], int]] = []  # and how many words its score is divided by
    for t in range(search["max_length"]):
        last = np.array([said[-1] if said else special["start"] for _, said in live])
        log_probs, *others = run("step", last, np.zeros_like(last), annotations, keys, *state)
        banned = [special["pad"], special["start"], special["unknown"]]
        log_probs[:, banned + [special["end"]] * (t == 0 and len(words) > 4)] = -np.inf
        totals = (log_probs + np.array([[total] for total, _ in live])).ravel()
        order = np.argsort(-totals, kind="stable")[: beam_size - len(finished)].tolist()
        best = [(i // len(words), i % len(words), float(totals[i])) for i in order if np.isfinite(totals[i])]
        finished += [(total, live[row][1], t + 1) for row, word, total in best if word == special["end"]]
        best = [(row, word, total) for row, word, total in best if word != special["end"]]
        if not best:
            break
        live = [(total, (*live[row][1], word)) for row, word, total in best]
        state = [part[[row for row, _, _ in best]] for part in others[-model["states"] :]]
    finished = finished or [(total, said, len(said)) for total, said in live]
    _, said, _ = max(finished, key=lambda found: found[0] / found[2] ** search["length_normalization"])
    return ("" if model["vocabulary"]["unit"] == "character" else " ").join(words[i] for i in said)


if __name__ == "__main__":
    print(caption(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else search["beam_size"]))
