"""The model card: what a model is for, where it fails, and how that was measured.

The headings are those of Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from emo_edge.spec import ModelSpec

CARD = """# Model card: {name}

## Model

| | |
|---|---|
| file | `{name}`, {kilobytes:.0f} kB, {quantization} |
| input | {height}x{width} {colour}, raw pixels, crop margin {margin:g} |
| labels | {labels} |
| cost | {mmacs:.1f} million multiply-accumulates a face |
| runs on | {runs_on} |
| made by | {made_by} |

## Intended use

Naming the facial expression that a frontal face shows, live, on a small device: interaction, art,
games, accessibility, research. The output is what a face *shows*, not what a person *feels*.

**Not for**: judging people, their honesty, health, fitness or intent. In the EU, inferring emotions
of people at work or in education is prohibited (AI Act, Art. 5(1)(f)); other uses of emotion
recognition are high-risk or require that the people concerned are told.

## Training data

{data}

## Evaluation

{evaluation}

## Quantization effect

{parity}

## Limits

Expressions differ between people and cultures, and labels given by onlookers carry their bias.
Faces that the training data lacks, poses beyond about 30 degrees, occlusion and poor light cost
accuracy that the numbers above do not show. {confidences}
"""


def model_card(name: str, size: int, spec: ModelSpec, conversion: Mapping[str, Any]) -> str:
    """Return the card of a model file as Markdown.

    Args:
        name: File name.
        size: Bytes.
        spec: What the file says of itself.
        conversion: The report of its conversion.
    """
    versions = conversion["versions"]
    return CARD.format(
        name=name,
        kilobytes=size / 1000,
        quantization=conversion["quantization"],
        height=spec.height,
        width=spec.width,
        colour=spec.colour,
        margin=spec.crop_margin,
        labels=", ".join(spec.labels),
        mmacs=conversion["anatomy"]["macs"] / 1e6,
        runs_on=", ".join(conversion["anatomy"]["runs_on"]),
        made_by=", ".join(f"{key} {value}" for key, value in versions.items()),
        data=_training_data(spec.training),
        evaluation=_evaluation(spec.training),
        parity=_parity(conversion),
        confidences=_confidences(spec),
    )


def _training_data(training: Mapping[str, Any]) -> str:
    metrics = training.get("metrics")
    if not metrics:
        return "Unknown: the model was not trained by emo-train."
    images = ", ".join(f"{count} {split}" for split, count in metrics["data"]["images"].items())
    recipe, averaged = training["recipe"], metrics["training"].get("averaged")
    note = f" {metrics['data']['note']}" if "note" in metrics["data"] else ""
    mean = f" The mean of the weights of {len(averaged)} runs; of the last:" if averaged else ""
    return (
        f"Faces: {images}; labels: {metrics['protocol']['labels']}; SHA-256 of pixels and labels "
        f"`{metrics['data']['sha256'][:16]}`.{note}{mean} Architecture {recipe['architecture']}, "
        f"{recipe['epochs']} epochs, seed {recipe['seed']}.{_origin(recipe.get('weights', 'none'))}"
        f"{_taught(metrics['training'].get('teachers', []))}"
    )


def _origin(weights: str) -> str:
    """Say what a net had learned before: other faces, perhaps, than those of the card."""
    if weights == "none":
        return ""
    known = "ImageNet" if weights == "imagenet" else f"`{PurePath(weights).name}`"
    return f" It began with the weights of {known}."


def _taught(teachers: Sequence[str]) -> str:
    """Name the runs whose answers stood beside the labels: what they knew is in the net too."""
    return f" Taught by {', '.join(f'`{name}`' for name in teachers)}." if teachers else ""


def _evaluation(training: Mapping[str, Any]) -> str:
    metrics = training.get("metrics")
    if not metrics:
        return "Not known to emo-train."
    protocol = metrics["protocol"]
    low, high = metrics["top1_interval"]
    lines = [
        f"The Keras model on the {protocol['scored_on']} split ({metrics['images']} faces, "
        f"{protocol['crops']} crop, selected on {protocol['selected_on']}): top-1 "
        f"{metrics['top1']:.1%} (95 % interval {low:.1%} to {high:.1%}), macro recall "
        f"{metrics['macro_recall']:.1%}, ECE {metrics['ece']:.3f}.",
        "",
        "| class | recall | precision |",
        "|---|---|---|",
    ]
    for label, recall in metrics["recall"].items():
        lines.append(f"| {label} | {_percent(recall)} | {_percent(metrics['precision'][label])} |")
    return "\n".join(lines)


def _parity(conversion: Mapping[str, Any]) -> str:
    lines = [
        "| runtime | faces | Keras top-1 | this file | drop, points (95 %) | same top-1 | ECE |",
        "|---|---|---|---|---|---|---|",
    ]
    for parity in conversion["parity"]:
        accuracy = parity["accuracy"]
        scores = ["not labelled", "not labelled", "-", "-"]
        if accuracy is not None:
            low, high = accuracy["drop_interval"]
            scores = [
                f"{accuracy['keras_top1']:.1%}",
                f"{accuracy['export_top1']:.1%}",
                f"{accuracy['drop']:.2f} ({low:.2f} to {high:.2f})",
                f"{accuracy['export_ece']:.3f}",
            ]
        before, after, drop, ece = scores
        lines.append(
            f"| {parity['runtime']} | {parity['images']}, {parity['origin']} | {before} | "
            f"{after} | {drop} | {parity['agreement']:.1%} | {ece} |"
        )
    lines += ["", *_class_drops(conversion["parity"][0]["accuracy"])]
    tried = conversion["candidates_tried"]
    if tried > 1:
        lines += [
            "",
            f"This file was chosen among {tried} candidates by the faces that score it here.",
        ]
    return "\n".join(lines)


def _class_drops(accuracy: Mapping[str, Any] | None) -> list[str]:
    if accuracy is None:
        return []
    lines = ["| class | faces | recall lost to quantization, points |", "|---|---|---|"]
    for label, lost in accuracy["class_drops"].items():
        lines.append(f"| {label} | {lost['faces']} | {lost['drop']:.1f} |")
    return lines


def _confidences(spec: ModelSpec) -> str:
    if not spec.threshold:
        return "Confidences were not calibrated."
    return (
        f"Confidences were calibrated on one split (temperature {spec.temperature:g});\nbelow "
        f'{spec.threshold:g} a reading is shown as "uncertain".'
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
