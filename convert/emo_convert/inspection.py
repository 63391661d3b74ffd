"""`emo-convert inspect`: everything one can know of a .tflite, whoever made it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emo_convert.anatomy import Anatomy, dissect
from emo_convert.convert import gate_backends
from emo_convert.runtimes import RUNTIMES, refusals
from emo_edge.artifacts import as_text
from emo_edge.backends import Backend
from emo_edge.errors import ModelError
from emo_edge.modelfile import ModelFile, read_model
from emo_edge.probe import delegates


def describe(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (subject, text) lines; raises `ModelError` if the file is no model or damaged."""
    model = read_model(path)
    anatomy = dissect(model.flatbuffer)
    yield "file", f"{as_text(path)}, {path.stat().st_size / 1000:.1f} kB"
    yield from _metadata(model)
    yield "cost", f"{anatomy.macs / 1e6:.2f} MMAC, {anatomy.weight_bytes / 1000:.1f} kB of weights"
    yield from _tensors(anatomy)
    for (name, version), count in sorted(anatomy.operators.items()):
        yield "operator", f"{count:>3} x {name} v{version}"
    for runtime in RUNTIMES:
        problems = refusals(anatomy, runtime)
        yield "runs on", f"{runtime}: {'yes' if not problems else 'no: ' + '; '.join(problems)}"
    for backend in gate_backends("auto"):
        yield "delegation", f"{backend.version} on this machine: {_delegation(path, backend)}"


def _delegation(path: Path, backend: Backend) -> str:
    try:
        pieces = delegates(path, backend)
    except ModelError as error:  # what cannot run here can still be looked at
        return f"cannot run it: {(str(error).splitlines() or ['it gives no reason'])[-1]}"
    return f"in {pieces} piece(s) inside XNNPACK" if pieces else "nothing inside XNNPACK"


def _metadata(model: ModelFile) -> Iterator[tuple[str, str]]:
    if model.spec is None:
        yield "metadata", "none of emo-toolkit's: a plain .tflite, use it with --labels"
        return
    spec = model.spec
    yield "labels", ", ".join(spec.labels)
    yield "input", f"{spec.height}x{spec.width} {spec.colour}, crop margin {spec.crop_margin:g}"
    yield "output", f"{spec.output}, temperature {spec.temperature:g}"
    yield "uncertain", f"below {spec.threshold:g}"
    golden = model.golden
    yield "golden", f"{len(golden.pixels)} vectors" if golden else "none"
    if spec.conversion:
        try:
            yield from list(_provenance(spec.conversion))
        except (LookupError, TypeError, ValueError, AttributeError):  # a free form, by its schema
            yield "made by", "another version of emo-convert, whose record has another form"


def _provenance(conversion: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "made by", str(conversion["command"])
    yield "made with", ", ".join(f"{k} {v}" for k, v in conversion["versions"].items())
    for parity in conversion["parity"]:
        accuracy = parity["accuracy"]
        scores = (
            f"top-1 {accuracy['export_top1']:.1%}, Keras {accuracy['keras_top1']:.1%}; "
            if accuracy
            else ""
        )
        yield (
            "parity",
            f"{parity['runtime']}, {parity['images']} faces of {parity['origin']}: {scores}"
            f"same top-1 {parity['agreement']:.1%}",
        )


def _tensors(anatomy: Anatomy) -> Iterator[tuple[str, str]]:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(anatomy.tensors.items()))
    yield "activations", f"{kinds}; {anatomy.integer_share:.0%} integer"
