"""``captioner export [MODEL] --format F --output DIR``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from captioner.cli.parsing import Parser, add_model, home_path
from captioner.errors import CaptionerError
from captioner.export.narrow import WEIGHTS

if TYPE_CHECKING:
    from captioner.export.export import Written

FORMATS = ("onnx", "torch_export", "web")
DEFAULT_WEIGHTS = {"onnx": "float32", "torch_export": "float32", "web": "float16"}


def parser() -> Parser:
    """The command's options."""
    parser = Parser(
        "export",
        "Write a model as programs that run without captioner: encoder, initial state and step, with all "
        "that photos and words need in model.json. They are compared with the model on photos before the "
        "folder appears. docs/export.md explains them.",
    )
    add_model(parser)
    parser.add_argument(
        "--format",
        choices=FORMATS,
        required=True,
        help="onnx: for ONNX Runtime and others, with a script that captions a photo; torch_export: for "
        "torch.export.load; web: a folder of static files that captions photos in the browser",
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=home_path, required=True, help="the folder to make"
    )
    parser.add_argument(
        "--weights",
        choices=WEIGHTS,
        help="how large matrices are stored; all sums are float32 (default: float32; web: float16)",
    )
    parser.add_argument(
        "--inference",
        choices=("argmax", "expectation"),
        help="how a model of hard attention chooses its location (default: as it was trained to)",
    )
    parser.add_argument(
        "--onnxruntime-web",
        metavar="DIR",
        type=home_path,
        help="for web: the unpacked npm package of that name (default: npm downloads it)",
    )
    return parser


def run(arguments: Sequence[str]) -> int:
    """Write a folder, and tell how its programs compare with the model."""
    options = parser().parse_args(arguments)
    weights = options.weights or DEFAULT_WEIGHTS[options.format]
    if options.format == "torch_export" and weights != "float32":
        raise CaptionerError(f"--weights: {weights} is for onnx and web, torch_export writes float32")
    if options.format != "web" and options.onnxruntime_web is not None:
        raise CaptionerError(f"--onnxruntime-web: is for --format web, not {options.format}")
    from captioner.checkpoint.file import load_checkpoint
    from captioner.checkpoint.pretrained import default_checkpoint
    from captioner.export import export

    checkpoint = load_checkpoint(options.model or default_checkpoint())
    if options.inference is not None:
        checkpoint.model.decoder.attention.look.infer_by(options.inference)
    if options.format == "onnx":
        written = export.export_onnx(checkpoint, options.output, weights)
    elif options.format == "torch_export":
        written = export.export_torch(checkpoint, options.output)
    else:
        from captioner.export.web import export_web

        written = export_web(checkpoint, options.output, weights, options.onnxruntime_web)
    _tell(written, weights)
    return 0


def _tell(written: Written, weights: str) -> None:
    parity = written.parity
    photos = len(parity.captions)
    print(f"written: {written.folder} ({written.size / 1e6:.1f} MB, weights {weights})")
    print(
        f"compared with the model on {photos} photos: log probabilities differ by at most "
        f"{parity.differences['log_probs']:.2g}, {parity.same} of {photos} captions are the same"
    )
