"""The demo: the four commands, one after the other, on drawn faces, and a report with pictures."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from emo_bench import pictures
from emo_edge.artifacts import write_bytes
from emo_edge.errors import EmoError, UsageError
from emo_edge.runfolder import CONFUSION_PLOT, CURVES_PLOT, SAMPLES_PLOT

EPOCHS = 20

NEXT = """
What next
  your pictures   emo-train --data DIR --out runs/mine      (DIR/happy/*.jpg, DIR/sad/*.jpg, ...)
                  emo-convert runs/mine --quantize int8
  your camera     emo-edge --model runs/mine/mine-int8.tflite --camera 0
  on a Pi         pip install emo-toolkit, copy the one .tflite file, and the same line
These faces are drawn: what the model scores on them says nothing about real faces."""

REPORT = """# emo-toolkit demo

Faces drawn by `emo-train synthesize`, {seconds:.1f} s of drawn video, a `{architecture}` net
trained for {epochs} epochs. **The faces are drawings: these numbers say nothing about real faces.**

| | |
|---|---|
| Keras top-1, people not trained on | {keras:.1%} of {images} |
{exports}
| model file | {kilobytes:.0f} kB |
| video time with the right label | {right:.0%} |

![timeline](timeline.png)

Background: the expression that was drawn. Lines: the smoothed probabilities that `emo-edge` read.

![frames](frames.png)

![learning curves](curves.png) ![confusion](confusion.png)

![training faces](samples.png)
"""


def run(out: Path) -> None:
    """Make `out` with data, run, model, readings and report; raises if it exists already."""
    if out.exists():
        raise UsageError(f"{out} exists; choose another --out, or remove it")
    run_folder, video = out / "run", out / "video.mp4"
    model, readings, recording = run_folder / "run-int8.tflite", out / "r.jsonl", out / "seen.mp4"
    _command("emo-train", "synthesize", "--out", out / "faces", "--video", video)
    architecture = ("--architecture", "plain-micro", "--epochs", str(EPOCHS))
    _command("emo-train", "--data", out / "faces", "--out", run_folder, *architecture)
    _command("emo-convert", run_folder, "--quantize", "int8")
    _command("emo-edge", "doctor", "--model", model)
    source = ("--source", video, "--jsonl", readings, "--record", recording)
    _command("emo-edge", "--model", model, *source)
    _command("emo-bench", "latency", model, "--seconds", "2")
    _report(out, run_folder, model, readings, recording)
    print(f"\nReport with pictures: {out / 'report'}")
    print(NEXT)


def _command(name: str, *arguments: str | Path) -> None:
    """Show a command as one would type it, and run it."""
    words = [name, *map(str, arguments)]
    print(f"\n$ {shlex.join(words)}", flush=True)
    program = shutil.which(name, path=str(Path(sys.executable).parent)) or name
    done = subprocess.run([program, *words[1:]], check=False)
    if done.returncode:
        failure = EmoError(f"the demo stopped: {name} ended with exit code {done.returncode}")
        failure.exit_code = done.returncode
        raise failure


def _report(out: Path, run_folder: Path, model: Path, readings: Path, recording: Path) -> None:
    report = out / "report"
    truth = json.loads((out / "video.json").read_text(encoding="utf-8"))["truth"]
    lines = readings.read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    parity = json.loads(model.with_suffix(".report.json").read_text(encoding="utf-8"))["parity"]
    exports = [
        f"| int8 top-1 on {p['runtime']} | {p['accuracy']['export_top1']:.1%}, "
        f"same answer as Keras {p['agreement']:.1%} |"
        for p in parity
    ]
    pictures.timeline(report / "timeline.png", records, truth)
    pictures.film_strip(report / "frames.png", recording, truth)
    for plot in (CONFUSION_PLOT, CURVES_PLOT, SAMPLES_PLOT):
        write_bytes(report / plot, (run_folder / plot).read_bytes())
    text = REPORT.format(
        keras=parity[0]["accuracy"]["keras_top1"],
        images=parity[0]["images"],
        exports="\n".join(exports),
        seconds=truth[-1][1],
        architecture="plain-micro",
        epochs=EPOCHS,
        kilobytes=model.stat().st_size / 1000,
        right=share_right(records, truth),
    )
    write_bytes(report / "report.md", text.encode())


def share_right(records: list[dict[str, object]], truth: list[tuple[float, float, str]]) -> float:
    """Return the share of readings whose label is what was drawn at that moment."""
    right = sum(
        any(
            start <= float(str(r["time"])) < end and r["label"] == name
            for start, end, name in truth
        )
        for r in records
    )
    return right / len(records)
