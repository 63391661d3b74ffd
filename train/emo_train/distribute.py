"""Training on several devices or machines, by TensorFlow's own strategies.

`keras.Model.fit` of Keras 3 cannot run under `MultiWorkerMirroredStrategy` (keras issue 20585), so
the epochs are run here, by `Strategy.run`, with the same callbacks. Every batch is shared equally
among the replicas; gradients, losses and scores are summed over all of them, so that all end with
the same weights. A batch norm sees its replica's share of the batch; its moving statistics are
averaged after every epoch.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras

from emo_edge.artifacts import sha256
from emo_edge.errors import UsageError
from emo_edge.faces import Faces
from emo_edge.messages import hushed
from emo_edge.runfolder import BACKUP, BEST, HISTORY
from emo_train.batches import EVALUATION_BATCH, Targets, shared_batches, steps_per_epoch
from emo_train.recipe import Recipe
from emo_train.scores import Scores, confusion


def is_chief(distribute: str) -> bool:
    """Whether this process writes the run: the chief, or worker 0, of TF_CONFIG.

    Raises `UsageError` if several workers are asked for and TF_CONFIG does not name them.
    """
    if distribute != "multi-worker":
        return True
    try:
        config = json.loads(os.environ.get("TF_CONFIG", ""))
        task, cluster = config["task"], config["cluster"]
        kind, index = task["type"], int(task["index"])
        _ = cluster[kind][index]
    except (ValueError, LookupError, TypeError) as error:
        raise UsageError(
            "--distribute multi-worker needs TF_CONFIG in the environment, for example "
            '{"cluster": {"worker": ["host:port", "host:port"]}, "task": {"type": "worker", '
            '"index": 0}}'
        ) from error
    return bool(kind == "chief" or (index == 0 and "chief" not in cluster))


def open_strategy(distribute: str) -> Any:
    """Return the strategy of --distribute, None for "none"; must come before any computation.

    Workers wait here for each other. Raises `UsageError` for a backend without tf.distribute.
    """
    if distribute == "none":
        return None
    if keras.backend.backend() != "tensorflow":
        raise UsageError(f"--distribute {distribute} needs KERAS_BACKEND=tensorflow")
    import tensorflow as tf

    with hushed():
        if distribute == "mirrored":
            return tf.distribute.MirroredStrategy()
        return tf.distribute.MultiWorkerMirroredStrategy()


def require_supported(distribute: str, recipe: Recipe) -> None:
    """Raise `UsageError` for settings that the epochs of `fit` do not know."""
    if distribute == "none":
        return
    for given, option in (
        (recipe.ema > 0, "--ema"),
        (recipe.class_weights != "none", "--class-weights"),
        (recipe.precision == "mixed_float16", "--precision mixed_float16"),
        (recipe.feature_weight > 0, "--feature-weight"),
    ):
        if given:
            raise UsageError(f"{option} does not work with --distribute: leave one of them away")


@contextmanager
def own_folder(run: Path, chief: bool) -> Iterator[Path]:
    """Yield where this process keeps its progress: the run, or a copy that no one else sees.

    Workers then take the same decisions from the same records, and only the chief's are kept.
    """
    if chief:
        yield run
        return
    with TemporaryDirectory(prefix="emo-worker-") as name:
        for part in (BACKUP, BEST, HISTORY):
            if (run / part).exists():
                shutil.copy(run / part, name)
        yield Path(name)


def digest(model: keras.Model) -> str:
    """Return the SHA-256 of a model's weights."""
    return sha256(b"".join(weights.tobytes() for weights in model.get_weights()))


def fit(
    strategy: Any,
    model: keras.Model,
    train: tuple[Faces, Targets],
    validation: Faces,
    recipe: Recipe,
    done: int,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Train a model that was compiled in the strategy's scope, from epoch `done` on.

    Raises `UsageError` if the batches cannot be shared equally.
    """
    replicas = strategy.num_replicas_in_sync
    if recipe.batch_size % replicas:
        raise UsageError(
            f"--batch-size {recipe.batch_size} cannot be shared by {replicas} replicas: choose a "
            f"multiple of {replicas}"
        )
    steps = steps_per_epoch(len(train[0]), recipe.batch_size)
    source = shared_batches(*train, recipe, done * steps)
    batches = iter(strategy.distribute_datasets_from_function(source))
    train_step, agree, evaluate = _steps(strategy, model, recipe.batch_size)
    hooks = keras.callbacks.CallbackList(
        list(callbacks), model=model, epochs=recipe.epochs, steps=steps
    )
    hooks.on_train_begin()
    for epoch in range(done, recipe.epochs):
        hooks.on_epoch_begin(epoch)
        seen = _Sums(validation.targets.shape[1])
        for step in range(steps):
            seen.add(train_step(*next(batches)))
            hooks.on_train_batch_end(step)
        agree()
        checked = _evaluated(strategy, evaluate, validation)
        scores = {f"val_{name}": value for name, value in checked.means().items()}
        hooks.on_epoch_end(epoch, {**seen.means(), **scores})
        if model.stop_training:
            break
    hooks.on_train_end()


def _steps(strategy: Any, model: keras.Model, batch_size: int) -> tuple[Any, Any, Any]:
    """Return the training step, the averaging of statistics, and the evaluation of one batch.

    The first and the last return sums over the faces: the loss and the confusion.
    """
    import tensorflow as tf

    classes = model.output_shape[-1]

    # `Loss.call` goes round the cast of `Loss.__call__`: the answers of a mixed precision are cast.
    def learn(images: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            answers = tf.cast(model(images, training=True), tf.float32)
            losses = model.loss.call(targets, answers)
            penalty = sum(model.losses) / strategy.num_replicas_in_sync if model.losses else 0.0
            loss = tf.reduce_sum(losses) / batch_size + penalty
        variables = model.trainable_variables
        model.optimizer.apply(tape.gradient(loss, variables), variables)
        return tf.reduce_sum(losses), confusion(targets, answers, classes)

    def check(images: Any, targets: Any) -> Any:
        answers = tf.cast(model(images, training=False), tf.float32)
        losses = model.loss.call(targets, answers)
        return tf.reduce_sum(losses), confusion(targets, answers, classes)

    @tf.function  # type: ignore[untyped-decorator]
    def train_step(images: Any, targets: Any) -> Any:
        sums = strategy.run(learn, args=(images, targets))
        return tuple(strategy.reduce("SUM", value, axis=None) for value in sums)

    statistics = [v for v in model.non_trainable_variables if "float" in v.dtype]

    @tf.function  # type: ignore[untyped-decorator]
    def averages() -> Any:
        local = strategy.run(lambda: [tf.identity(variable.value) for variable in statistics])
        return [strategy.reduce("MEAN", value, axis=None) for value in local]

    def agree() -> None:
        with strategy.scope():
            for variable, mean in zip(statistics, averages(), strict=True):
                variable.assign(mean)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def evaluate(images: Any, targets: Any) -> Any:
        return strategy.run(check, args=(images, targets))

    return train_step, agree, evaluate


def _evaluated(strategy: Any, evaluate: Any, faces: Faces) -> _Sums:
    """Let every replica score all faces: a tenth of the data, and nothing to exchange."""
    sums = _Sums(faces.targets.shape[1])
    for start in range(0, len(faces), EVALUATION_BATCH):
        rows = slice(start, start + EVALUATION_BATCH)
        answers = evaluate(faces.pixels[rows].astype("float32"), faces.targets[rows])
        sums.add(tuple(strategy.experimental_local_results(value)[0] for value in answers))
    return sums


class _Sums:
    """Losses and confusions, added up."""

    def __init__(self, classes: int) -> None:
        self._loss, self._scores = 0.0, Scores(classes)

    def add(self, sums: tuple[Any, Any]) -> None:
        loss, counts = sums
        self._loss += float(loss)
        self._scores.add(counts)

    def means(self) -> dict[str, float]:
        scores = {name: float(value) for name, value in self._scores.result().items()}
        return {"loss": self._loss / self._scores.faces(), **scores}
