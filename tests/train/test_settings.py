from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emo_edge.errors import DataError, EmoError, UsageError
from emo_train.cli import app
from emo_train.presets import preset_names, resolve, to_toml
from emo_train.recipe import Augmentation, Recipe
from running import assert_done, assert_refused, call

recipes = st.builds(
    Recipe,
    colour=st.sampled_from(["grey", "rgb"]),
    epochs=st.integers(1, 500),
    learning_rate=st.floats(1e-6, 1),
    seed=st.integers(0, 2**32 - 1),
    augmentation=st.builds(Augmentation, flip=st.booleans(), erasing=st.floats(0, 1)),
)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@given(recipes)
def test_a_recipe_survives_json(recipe: Recipe) -> None:
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@given(recipes)
def test_a_recipe_printed_as_toml_is_read_as_itself(
    tmp_path_factory: pytest.TempPathFactory, recipe: Recipe
) -> None:
    file = write(tmp_path_factory.mktemp("toml") / "recipe.toml", to_toml(recipe))
    assert resolve(None, file, {})[0] == recipe


@pytest.mark.parametrize("name", preset_names())
def test_a_printed_preset_is_the_whole_recipe(tmp_path: Path, name: str) -> None:
    outcome = call(app, "presets", name)
    assert_done(outcome)
    file = write(tmp_path / "mine.toml", outcome.stdout)
    assert resolve(None, file, {})[0] == resolve(name, None, {})[0]


def test_presets_are_listed_with_what_they_are_for() -> None:
    lines = call(app, "presets").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(preset_names())
    assert all(len(line.split()) > 3 for line in lines)


def test_a_file_overrides_a_preset_and_options_override_the_file(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.toml", "epochs = 3\n[augmentation]\nnoise = 0\nshift = 0.5\n")
    recipe, run = resolve("quick", file, {"epochs": 5, "augmentation": {"shift": 0.1}})
    quick = resolve("quick", None, {})[0]
    changed = replace(quick.augmentation, noise=0.0, shift=0.1)
    assert recipe == replace(quick, epochs=5, augmentation=changed)
    assert not run


def test_another_optimizer_takes_its_own_learning_rate(tmp_path: Path) -> None:
    """That of a preset is SGD's: Adam would diverge at it."""
    file = tmp_path / "adam.toml"
    file.write_text('optimizer = "adam"\n')
    preset = resolve("fer2013", None, {})[0]
    assert preset.optimizer == "sgd" and preset.learning_rate > 0.01
    assert resolve("fer2013", file, {})[0].learning_rate == 0.0
    assert resolve("fer2013", None, {"optimizer": "adamw"})[0].learning_rate == 0.0
    both = {"optimizer": "adam", "learning_rate": 2e-3}
    assert resolve("fer2013", None, both)[0].learning_rate == 2e-3
    assert resolve("fer2013", None, {"optimizer": "sgd"})[0] == preset


def test_the_configuration_of_a_run_can_be_run_again(tmp_path: Path) -> None:
    recipe = replace(Recipe(), epochs=7)
    config = {"data": "/faces", "recipe": recipe.to_json(), "spec": {}, "fingerprint": "0"}
    file = write(tmp_path / "config.json", json.dumps(config))
    assert resolve(None, file, {}) == (recipe, config)


@pytest.mark.parametrize("part", [{"fold": [1, 3]}, {"fold": None, "averaged": ["a", "b"]}])
def test_the_configuration_of_what_no_single_training_makes_is_refused(
    tmp_path: Path, part: dict[str, object]
) -> None:
    config = {"data": "/faces", "recipe": Recipe().to_json(), **part}
    file = write(tmp_path / "config.json", json.dumps(config))
    with pytest.raises(UsageError, match="repeat"):
        resolve(None, file, {})


@pytest.mark.parametrize("number", ["1e-3", "1.0e-3", "0.001"])
def test_yaml_numbers_are_read_as_people_write_them(tmp_path: Path, number: str) -> None:
    file = write(tmp_path / "mine.yaml", f"learning_rate: {number}\naugmentation:\n  flip: no\n")
    recipe, _ = resolve(None, file, {})
    assert (recipe.learning_rate, recipe.augmentation.flip) == (0.001, False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch = 3", "unknown setting 'epoch'; did you mean epochs?"),
        ("[augmentation]\nrotate = 3", "unknown setting 'rotate'; did you mean rotation?"),
        ("nonsense = 3", "there are: labels, input_size"),
        ("epochs = 0", "epochs must be at least 1, not 0"),
        ("epochs = 2.5", "epochs must be a whole number"),
        ("epochs = true", "epochs must be a whole number"),
        ("unfreeze_rate = 0", "unfreeze_rate must be above 0"),
        ("learning_rate = nan", "learning_rate must be a finite number"),
        ("dropout = 2", "dropout must be at most 0.9"),
        ("colour = 'sepia'", "unknown colour 'sepia'; choose from grey, rgb"),
        ("augmentation = 1", "augmentation must be a table"),
        ("[augmentation]\nflip = 'yes'", "flip must be true or false"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_right(tmp_path: Path, text: str, words: str) -> None:
    file = write(tmp_path / "mine.toml", text)
    with pytest.raises(UsageError) as refused:
        resolve(None, file, {})
    assert str(refused.value).startswith(f"{file}: ")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("mine.toml", "epochs = ", DataError),
        ("mine.yaml", "epochs: [", DataError),
        ("mine.json", "[1]", DataError),
        ("mine.toml", None, DataError),
        ("mine.txt", "epochs = 1", UsageError),
    ],
)
def test_a_file_that_holds_no_settings_is_refused(
    tmp_path: Path, name: str, text: str | None, kind: type[EmoError]
) -> None:
    if text is not None:
        write(tmp_path / name, text)
    with pytest.raises(kind, match="mine"):
        resolve(None, tmp_path / name, {})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ("--preset", "fast"),
            (
                "unknown preset 'fast'",
                "default, fer2013, fer2013-again, fer2013-narrow, fer2013-student, quick",
            ),
        ),
        (("--epochs", "0"), ("epochs", "at least 1")),
        (("--erasing", "2"), ("erasing", "at most 1")),
        (("--learning-rate", "nan"), ("learning_rate", "finite")),
    ],
)
def test_options_are_checked_like_files(
    tmp_path: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert_refused(call(app, "--data", tmp_path, "--out", tmp_path / "run", *options), 2, *words)
