"""One conversion: export, compare through the device's interpreter, publish or refuse."""

from __future__ import annotations

import dataclasses
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from emo_convert import golden
from emo_convert.anatomy import dissect
from emo_convert.card import model_card
from emo_convert.compact import compact
from emo_convert.export import QUANTIZATIONS, PixelType, export
from emo_convert.heads import without_softmax
from emo_convert.parity import Gate, Parity, compare, percent, points
from emo_convert.quantize import quantize
from emo_convert.repair.ladder import ladder
from emo_convert.runtimes import OLDEST, older, refusals, runs_on
from emo_convert.subject import Subject
from emo_edge.artifacts import as_text, sha256, write_bytes, write_json
from emo_edge.backends import BACKENDS, Backend, find_backend
from emo_edge.contract import Image
from emo_edge.errors import GateError, ModelError, UsageError
from emo_edge.messages import hushed, say
from emo_edge.modelfile import pack
from emo_edge.score import Scored, score_in_own_process
from emo_edge.spec import ModelSpec
from emo_edge.version import __version__


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to make of a subject.

    Attributes:
        quantization: A key of `QUANTIZATIONS`.
        pixels: Input type of an int8 model.
        runtime: The oldest runtime that must run the model (see `runtimes`).
        backends: Installed runtimes that the gate asks; the first gives the golden vectors.
        gate: What may be lost.
        repair: Whether a failed int8 model is repaired.
        command: For the records: the command line without the name of the target.
    """

    quantization: str
    pixels: PixelType
    runtime: str
    backends: Sequence[Backend]
    gate: Gate
    repair: bool
    command: str


@dataclasses.dataclass(frozen=True)
class Candidate:
    """An export with the answers that the device's interpreters gave.

    `scored` and `parity` are in the order of the plan's backends.
    """

    flatbuffer: bytes
    spec: ModelSpec
    scored: tuple[Scored, ...]
    parity: tuple[Parity, ...]

    @property
    def failures(self) -> list[str]:
        """What the gate objects to, over all runtimes."""
        return [f"{p.runtime}: {failure}" for p in self.parity for failure in p.failures]


@dataclasses.dataclass(frozen=True)
class Converted:
    """A model that was written."""

    path: Path
    size: int
    report: dict[str, Any]


def gate_backends(name: str, runtime: str = OLDEST) -> list[Backend]:
    """Return the runtimes that judge: the named one, or every device runtime installed here.

    Those older than `runtime`, which need not run the model, are left out. Raises `UsageError` if
    none is left.
    """
    if name != "auto":
        return [find_backend(name)]
    device = [b for b in BACKENDS.values() if b.installed and b.name != "tensorflow"]
    fit = [backend for backend in device if not older(backend, runtime)]
    past = ", ".join(backend.version for backend in device if backend not in fit)
    if past and not fit:
        raise UsageError(
            f"no runtime installed here is as new as --runtime {runtime}, only {past}: install a "
            "newer one, or choose --backend tensorflow"
        )
    if past:
        say(f"the gate leaves out {past}, older than --runtime {runtime}")
    return fit or [find_backend()]


def convert(subject: Subject, plan: Plan, target: Path) -> Converted:
    """Export `subject`, gate it, repair it if the plan says so, and write `target`.

    Raises `GateError` if the gate fails; then a report of the failure is written and what stands at
    `target` is left alone.
    """
    subject, candidate, head = _better_head(subject, plan)
    made: dict[str, Any] = {"head": head}
    if candidate.failures and plan.repair:
        candidate, made["repair"] = _repaired(subject, plan, candidate)
    return publish(subject, plan, target, candidate, made)


def _repaired(
    subject: Subject, plan: Plan, failed: Candidate
) -> tuple[Candidate, list[dict[str, Any]]]:
    """Climb the ladder until the gate passes; return the last candidate and what each step gave."""
    steps = [_step("plain int8", "as it was converted", failed)]
    faces = subject.calibration.pixels
    rungs = ladder(subject.model, subject.spec, faces, subject.seed, plan.pixels)
    candidate = failed
    while candidate.failures:
        try:
            with hushed():
                rung = next(rungs, None)
            if rung is None:
                break
            step, flatbuffer = rung
            candidate = make_candidate(subject, plan, flatbuffer)
        except ModelError as error:  # what was tried so far still deserves its report
            say(f"  the repair ends here: {error}")
            break
        steps.append(_step(step.name, step.description, candidate))
    return candidate, steps


def _step(name: str, what: str, candidate: Candidate) -> dict[str, Any]:
    """Say how a rung did, and return it for the records."""
    worst = min(candidate.parity, key=lambda parity: parity.agreement)
    drop = f", top-1 drops {points(worst.accuracy.drop)} points" if worst.accuracy else ""
    verdict = "; ".join(candidate.failures) or "passes"
    say(f"  {name}: same top-1 {percent(worst.agreement)}{drop}: {verdict}")
    return {
        "step": name,
        "what": what,
        "agreement": round(worst.agreement, 4),
        "drop": round(worst.accuracy.drop, 2) if worst.accuracy else None,
        "failures": candidate.failures,
    }


def _better_head(subject: Subject, plan: Plan) -> tuple[Subject, Candidate, str]:
    """Export with the softmax and without it, and keep what answers closer to the Keras model.

    A softmax that is part of an integer graph answers in steps of 1/256.
    """
    kept = make_candidate(subject, plan)
    logits = without_softmax(subject.model) if subject.spec.output == "probabilities" else None
    if logits is None:
        return subject, kept, f"{subject.spec.output}, as the Keras model"
    spec = dataclasses.replace(subject.spec, output="logits")
    headless = dataclasses.replace(subject, model=logits, spec=spec)
    dropped = make_candidate(headless, plan)
    with_it, without = (c.parity[0].divergence for c in (kept, dropped))
    measured = f"KL {without} nats without softmax, {with_it} with it"
    if without is not None and (with_it is None or without <= with_it):
        return headless, dropped, f"logits, softmax dropped: {measured}"
    return subject, kept, f"softmax kept: {measured}"


def make_candidate(subject: Subject, plan: Plan, flatbuffer: bytes | None = None) -> Candidate:
    """Export (unless `flatbuffer` is given) and let every backend of the plan answer."""
    if flatbuffer is None:
        with hushed():
            flatbuffer = _export(subject, plan)
    flatbuffer = compact(flatbuffer)
    problems = refusals(dissect(flatbuffer), plan.runtime)
    if problems:
        raise ModelError(f"{plan.runtime} would refuse the model: {'; '.join(problems)}")
    textures = golden.candidates(subject.spec)
    faces = np.concatenate([textures, subject.evaluation.pixels])
    scored = _device_answers(pack(flatbuffer, subject.spec), faces, plan.backends)
    parity = tuple(
        compare(
            subject.reference,
            dataclasses.replace(answers, probabilities=answers.probabilities[len(textures) :]),
            subject.evaluation.truth,
            labels=subject.spec.labels,
            origin=subject.evaluation.origin,
            gate=plan.gate,
        )
        for answers in scored
    )
    return Candidate(flatbuffer, subject.spec, scored, parity)


def _export(subject: Subject, plan: Plan) -> bytes:
    faces = subject.calibration.pixels
    if plan.quantization == "int8":
        return quantize(subject.model, subject.spec, faces, pixels=plan.pixels)
    return export(subject.model, subject.spec, plan.quantization, faces)


def publish(
    subject: Subject, plan: Plan, target: Path, candidate: Candidate, made: dict[str, Any]
) -> Converted:
    """Write the model, its report and its card; the report alone, and raise, if the gate fails.

    Args:
        subject: What was converted.
        plan: How.
        target: The model file.
        candidate: The export to publish.
        made: How the export was made, for the records.
    """
    report = _report(subject, plan, candidate, made)
    if candidate.failures:
        unrepaired = plan.quantization == "int8" and not plan.repair
        # Under a name of its own: the report beside a good model goes on describing that model.
        write_json(failure_path(target), report)
        raise GateError(
            f"{target.name} was not written: {'; '.join(candidate.failures)}; see "
            f"{failure_path(target)}; try {'--repair, ' if unrepaired else ''}another --quantize, "
            "or a longer training"
        )
    textures = golden.candidates(subject.spec)
    answers = candidate.scored[0].probabilities[: len(textures)]
    # Times differ from run to run: left out of the file, so that the same run gives the same bytes.
    lasting = {**report, "parity": [_without_times(parity) for parity in report["parity"]]}
    spec = dataclasses.replace(
        candidate.spec, minimum_runtime=report["anatomy"]["runs_on"][0], conversion=lasting
    )
    vectors = golden.choose(textures, answers)
    content = pack(candidate.flatbuffer, spec, vectors)
    # Loading checks the golden vectors: every runtime of the gate must accept the very file.
    _device_answers(content, vectors.pixels, plan.backends)
    write_json(report_path(target), report)
    card = model_card(as_text(target.name), len(content), spec, report)
    write_bytes(card_path(target), card.encode())
    write_bytes(target, content)  # last: a model stands beside what is told of it
    failure_path(target).unlink(missing_ok=True)
    return Converted(target, len(content), report)


def report_path(target: Path) -> Path:
    """Return where the report of a conversion goes: beside the model."""
    return target.with_suffix(".report.json")


def card_path(target: Path) -> Path:
    """Return where the model card goes: beside the model."""
    return target.with_suffix(".md")


def failure_path(target: Path) -> Path:
    """Return where the report of a conversion that failed its gate goes."""
    return target.with_suffix(".failed.report.json")


def _device_answers(
    content: bytes, faces: Image, backends: Sequence[Backend]
) -> tuple[Scored, ...]:
    with tempfile.TemporaryDirectory(prefix="emo-convert-") as folder:
        candidate = Path(folder, "candidate.tflite")
        candidate.write_bytes(content)
        try:
            return tuple(score_in_own_process(candidate, faces, b.name) for b in backends)
        except ModelError as error:  # a temporary name tells nobody anything
            raise ModelError(str(error).replace(str(candidate), "the export")) from error


def _report(
    subject: Subject, plan: Plan, candidate: Candidate, made: dict[str, Any]
) -> dict[str, Any]:
    anatomy = dissect(candidate.flatbuffer)
    calibrated = QUANTIZATIONS[plan.quantization].calibrated
    return {
        "quantization": plan.quantization,
        **made,
        # Honest about selection: the head and the repair were chosen by the faces that score.
        "candidates_tried": max(1, len(made.get("repair", ()))) + ("KL" in made["head"]),
        "source": {"name": as_text(subject.name), "sha256": subject.sha256},
        "calibration": {
            "images": len(subject.calibration.pixels) if calibrated else 0,
            "origin": subject.calibration.origin,
            "seed": subject.seed,
            "sha256": sha256(subject.calibration.pixels.tobytes()),
        },
        "evaluation": {
            "images": len(subject.evaluation.pixels),
            "origin": subject.evaluation.origin,
            "sha256": sha256(subject.evaluation.pixels.tobytes()),
        },
        "gate": dataclasses.asdict(plan.gate),
        "parity": [parity.to_json() for parity in candidate.parity],
        "anatomy": {
            "flatbuffer_bytes": len(candidate.flatbuffer),
            "macs": anatomy.macs,
            "weight_bytes": anatomy.weight_bytes,
            "integer_share": round(anatomy.integer_share, 4),
            "operators": {f"{name} v{v}": n for (name, v), n in sorted(anatomy.operators.items())},
            "runs_on": runs_on(anatomy),
        },
        "command": plan.command,
        "versions": {
            "emo-toolkit": __version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "python": platform.python_version(),
        },
    }


def _without_times(parity: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parity.items() if name != "median_ms"}
