"""The run folder: what a training leaves behind, and all that the converter needs.

Rooms speak through artifacts, not imports; this page is where they agree on the names.

    config.json        data, labels, contract and recipe; written first
    backup.keras, best.keras, teacher.npz, history.csv   what a resumed training goes on from
    model.keras        the model of the best epoch: raw pixels to logits
    calibration.npz    `pixels`, `truth` of a stratified sample of the *training* split; `seed`
    evaluation.npz     `pixels`, `truth`, `names` of the split that scores; `split` is its name
    metrics.json       scores, with the protocol
    samples.png, curves.png, confusion.png, classes.png, reliability.png, mistakes.png
    report.html        all of it on one page that needs nothing else
    tensorboard/       event files, if asked for
    spec.json          the `ModelSpec`; written last: a run that has it is finished

Pixels are uint8[N,height,width,channels], as `emo_edge.contract.prepare` makes them; truth is
int64[N], indices of the spec's labels.
"""

from __future__ import annotations

CONFIG, SPEC, MODEL = "config.json", "spec.json", "model.keras"
BEST, BACKUP, HISTORY = "best.keras", "backup.keras", "history.csv"
METRICS, CALIBRATION, EVALUATION = "metrics.json", "calibration.npz", "evaluation.npz"
TEACHER, TENSORBOARD, REPORT = "teacher.npz", "tensorboard", "report.html"
SAMPLES_PLOT, CURVES_PLOT, CONFUSION_PLOT = "samples.png", "curves.png", "confusion.png"
CLASSES_PLOT, RELIABILITY_PLOT, MISTAKES_PLOT = "classes.png", "reliability.png", "mistakes.png"
