"""The endpoint described for programs, as OpenAPI 3.1, and for people, as a page made from that."""

from __future__ import annotations

import html
from typing import Any

from captioner.config.declare import as_typed
from captioner.version import __version__
from captioner.visualize.document import STYLES, Document, document
from captioner.web.options import OPTIONS, PICTURES
from captioner.web.upload import FIELD, Limits

Json = dict[str, Any]

NUMBER = {"type": "number"}
SCORED = {"type": "array", "prefixItems": [{"type": "string"}, NUMBER], "minItems": 2, "maxItems": 2}
PER_WORD = {"type": "array", "items": NUMBER}
DATA_URI = {"type": "string", "pattern": "^data:image/"}
ANSWER: dict[str, Json] = {  # in the order in which it comes
    "name": {"type": "string", "description": "what the file is called"},
    "caption": {"type": "string", "description": "the best caption"},
    "log_prob": NUMBER | {"description": "of the caption, its end included, in nats"},
    "unfamiliar": {
        "type": "boolean",
        "description": "whether the photo is unlike those that the model knows, by the caption's probability",
    },
    "words": {"type": "array", "items": {"type": "string"}, "description": "of the caption"},
    "probabilities": PER_WORD | {"description": "of each word, after those before it"},
    "betas": {
        "type": ["array", "null"],
        "items": NUMBER,
        "description": "at each word how much the image counted, by gate or sentinel; null without either",
    },
    "grid": {
        "type": "array",
        "items": {"type": "integer"},
        "minItems": 2,
        "maxItems": 2,
        "description": "rows and columns of the attention",
    },
    "attention": {
        "type": "array",
        "items": PER_WORD,
        "description": "each word's weights, row after row; they sum to 1",
    },
    "grounding": {
        "type": ["object", "null"],
        "additionalProperties": NUMBER,
        "description": "how far the model's maps may be believed, from its file; null if it was not measured",
    },
    "maps_note": {"type": "string", "description": "the same as a line for people"},
    "top": NUMBER
    | {"description": "what the brightest colour stands for, in multiples of uniform attention"},
    "gates": {
        "type": "object",
        "additionalProperties": PER_WORD,
        "description": "how far each of the cell's gates opened at each word",
    },
    "alternatives": {
        "type": "array",
        "items": {"type": "array", "items": SCORED},
        "description": "for each word those that could have stood there, with their probabilities",
    },
    "beam": {
        "type": "array",
        "items": SCORED,
        "description": "the other captions of the search, with their log probabilities",
    },
    "scores": {
        "type": ["array", "null"],
        "items": NUMBER,
        "description": "what ranked the caption and then each of beam: log probability by length",
    },
    "size": {
        "type": "array",
        "items": {"type": "integer"},
        "description": "width and height of the photo shown",
    },
    "frame": {
        "type": "array",
        "items": NUMBER,
        "description": "what the model saw of it: left, top, right, bottom",
    },
    "photo": DATA_URI | {"description": f"the photo, upright, as a data address; with {PICTURES}"},
    "thumbnail": DATA_URI | {"description": f"what the model saw of it, small; with {PICTURES}"},
}
ONLY_WITH_PICTURES = ("photo", "thumbnail")


def openapi(limits: Limits) -> Json:
    """The OpenAPI document."""
    options: Json = {option.name: option.schema() for option in OPTIONS}
    options[PICTURES] = {"type": "boolean", "default": False, "description": "send the photo back as well"}
    photo = {
        "type": "string",
        "contentMediaType": "application/octet-stream",
        "description": "the image file",
    }
    form = {"type": "object", "required": [FIELD], "properties": {FIELD: photo, **options}}
    upload, pixels = f"{limits.upload / 10**6:g} MB", f"{limits.pixels / 10**6:g} megapixels"
    errors = {
        "400": "The form is broken.",
        "403": "The request names a host that is not served, or comes from a page of another site.",
        "408": f"The upload took longer than {limits.seconds:g} seconds.",
        "413": f"The file is larger than {upload}, or the photo than {pixels}.",
        "415": "The request is no form, or its file no image of a known format.",
        "422": "The image is broken, there is none, or an option is wrong.",
        "503": f"{limits.queue} photos are on their way already; Retry-After says when to try again.",
    }
    failures: Json = {status: _answers(text, "Error") for status, text in errors.items()}
    failures["503"]["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    caption: Json = {
        "operationId": "caption",
        "summary": "Caption a photo",
        "description": "Options may stand in the form or in the address; those of the form count first. "
        "A request that accepts text/html, as a browser's form does, is answered with a page.",
        "parameters": [
            {"name": n, "in": "query", "description": s["description"], "schema": s}
            for n, s in options.items()
        ],
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
        "responses": {"200": _answers("The caption, and what the model looked at.", "Caption"), **failures},
    }
    health: Json = {
        "operationId": "health",
        "summary": "Whether the server is there, and how many photos are on their way",
        "responses": {"200": _answers("It is.", "Health")},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "captioner",
            "version": __version__,
            "description": "Captions of photos, and where the model looked for every word.",
        },
        "servers": [{"url": "."}],
        "paths": {"/caption": {"post": caption}, "/health": {"get": health}},
        "components": {
            "schemas": {
                "Caption": _object(ANSWER, ONLY_WITH_PICTURES),
                "Error": _object({"error": {"type": "string", "description": "one line"}}),
                "Health": _object(
                    {
                        "status": {"const": "ok"},
                        "version": {"type": "string"},
                        "models": {"type": "array", "items": {"type": "string"}},
                        "photos": {"type": "integer", "description": "on their way"},
                    }
                ),
            }
        },
    }


def docs(description: Json) -> Document:
    """A page for people, without scripts, of an OpenAPI document of :func:`openapi`."""
    caption = description["paths"]["/caption"]["post"]
    options = {p["name"]: p["schema"] for p in caption["parameters"]}
    errors = {status: answer for status, answer in caption["responses"].items() if status != "200"}
    fields = description["components"]["schemas"]["Caption"]["properties"]
    return document(
        "web/docs.html",
        [*STYLES, "web/docs.css"],
        field=FIELD,
        options=_rows((name, _range(schema), schema["description"]) for name, schema in options.items()),
        answer=_rows((name, _kind(schema), schema["description"]) for name, schema in fields.items()),
        errors=_rows((status, answer["description"]) for status, answer in errors.items()),
    )


def _answers(description: str, schema: str) -> Json:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}


def _object(properties: dict[str, Json], optional: tuple[str, ...] = ()) -> Json:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties}


def _range(schema: Json) -> str:
    default = as_typed(schema["default"])
    if schema["type"] == "boolean":
        return f"true or false; default {default}"
    if "enum" in schema:
        return f"{', '.join(schema['enum'])}; default {default}"
    return f"{schema['minimum']:.9g} to {schema['maximum']:.9g}; default {default}"


def _kind(schema: Json) -> str:
    kind = schema["type"]
    return kind if isinstance(kind, str) else " or ".join(kind)


def _rows(rows: Any) -> str:
    cells = (
        f"<tr><th scope=row><code>{html.escape(first)}</code>"
        + "".join(f"<td>{html.escape(c)}" for c in others)
        for first, *others in rows
    )
    return "\n".join(cells)
