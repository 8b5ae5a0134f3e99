"""``captioner serve --checkpoint FILE``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

from captioner.checkpoint.pretrained import MODEL_FILE, default_checkpoint, model_path
from captioner.cli.parsing import Parser, add_checkpoint, add_device
from captioner.errors import CaptionerError, check_range

LIBRARIES = ("starlette", "uvicorn", "python_multipart")
LEAST = {"max_upload": 0.001, "max_megapixels": 0.001, "timeout": 0.1, "queue": 1, "batch_size": 1}
MOST = 10**6


def run(arguments: Sequence[str]) -> int:
    """Serve the page and the endpoint until a signal; 0, as that is how a server ends."""
    options = parser().parse_args(arguments)
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise CaptionerError(f"serve: {', '.join(missing)} is not installed: pip install captioner[web]")
    for name, low in LEAST.items():
        check_range(getattr(options, name), f"--{name.replace('_', '-')}", low, MOST)
    from captioner.web.server import listen, make_server, url

    checkpoints = options.checkpoint or [default_checkpoint()]
    with listen(options.host, options.port) as listener:
        if all(model_path(checkpoint).exists() for checkpoint in checkpoints):  # else the error alone is told
            print(f"captioner: loading {', '.join(checkpoints)} ...", file=sys.stderr, flush=True)
        # not before the arguments are known to be right: torch alone takes seconds
        from captioner.predictor import load
        from captioner.system.device import keep_memory
        from captioner.web.app import create_app
        from captioner.web.examples import examples
        from captioner.web.upload import Limits
        from captioner.web.worker import Worker

        size, pixels = int(options.max_upload * 10**6), int(options.max_megapixels * 10**6)
        limits = Limits(size, pixels, options.timeout, options.queue)
        keep_memory()
        predictor = load(checkpoints, options.device, options.precision)
        names, hosts = map(_model_name, checkpoints), [options.host, *options.allow_host]
        worker = Worker(predictor, options.batch_size)
        try:
            app = create_app(worker, limits, list(names), hosts, examples(predictor.vocabulary.words))
            if not ip_address(listener.getsockname()[0]).is_loopback:
                warning = "anyone who reaches this machine can use the server, without a password"
                print(f"captioner: {warning}", file=sys.stderr)
            print(f"captioner: {url(listener)} (Ctrl-C ends it)", flush=True)
            make_server(app).run([listener])
        finally:
            worker.close()
    return 0


def parser() -> Parser:
    """The command's options."""
    parser = Parser(
        "serve",
        "A web page to drop photos on, and a JSON endpoint, POST /caption.",
        epilog="The endpoint is described at /docs and /openapi.json.",
    )
    add = parser.add_argument
    add_checkpoint(parser)
    default = " (default: %(default)s)"
    add(
        "--host",
        default="127.0.0.1",
        help="address to listen at; others than this machine's own loopback open "
        "the server to the network" + default,
    )
    add("--port", type=int, default=8000, help="0 takes one that is free" + default)
    add(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="a name by which browsers may call the "
        "server, beside localhost, addresses and --host; may be given again",
    )
    add("--max-upload", type=float, default=20, metavar="MB", help="size of a photo's file" + default)
    add("--max-megapixels", type=float, default=64, metavar="N", help="size of a photo" + default)
    add("--timeout", type=float, default=30, metavar="SECONDS", help="that an upload may take" + default)
    add(
        "--queue",
        type=int,
        default=32,
        metavar="N",
        help="photos that are uploaded or wait at a time; further ones are asked to try again" + default,
    )
    add(
        "--batch-size", type=int, default=16, metavar="N", help="photos that are captioned together" + default
    )
    add_device(parser)
    return parser


def _model_name(checkpoint: str) -> str:
    """The name of a model file, or of the run folder where it is called as all are."""
    path = Path(checkpoint).absolute()
    return path.parent.name if path.name == MODEL_FILE else path.stem
