"""`ModelSpec`: what it refuses, and that it survives JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emo_edge.errors import ModelError
from emo_edge.spec import SPEC_FORMAT, ModelSpec

VALID: dict[str, Any] = ModelSpec(
    labels=("angry", "happy"),
    height=48,
    width=64,
    colour="rgb",
    output="probabilities",
    input_range=(-1.0, 1.0),
    crop_margin=0.1,
    temperature=0.7,
    threshold=0.4,
    minimum_runtime="tflite_runtime 2.14",
    training={"data": "drawn", "nested": {"hash": "abc"}},
    conversion={"parity": [1, 2.5, None]},
).to_json()

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
LABEL = st.text(st.characters(blacklist_categories=["C", "Z"]), min_size=1, max_size=8)
SPECS = st.builds(
    ModelSpec,
    labels=st.lists(LABEL, min_size=2, max_size=6, unique=True).map(tuple),
    height=st.integers(8, 1024),
    width=st.integers(8, 1024),
    colour=st.sampled_from(["grey", "rgb"]),
    output=st.sampled_from(["logits", "probabilities"]),
    crop_margin=st.floats(-0.4, 2.0),
    temperature=st.floats(0.01, 100.0),
    threshold=st.floats(0.0, 1.0, exclude_max=True),
    training=st.dictionaries(st.text(), st.integers() | st.text(), max_size=3),
)


def read(content: str | bytes) -> ModelSpec | None:
    """Return the spec, or None where it is refused as promised."""
    try:
        return ModelSpec.from_json(content)
    except ModelError:
        return None


@pytest.mark.parametrize("written", [0, -1, True, 1.0, "1", None])
def test_a_format_that_never_was_is_refused(written: Any) -> None:
    content = json.dumps({**VALID, "format": written})
    with pytest.raises(ModelError, match="not an emo-toolkit spec"):
        ModelSpec.from_json(content)


@given(SPECS)
def test_a_spec_survives_json(spec: ModelSpec) -> None:
    assert ModelSpec.from_json(json.dumps(spec.to_json())) == spec


@pytest.mark.parametrize(("colour", "channels"), [("grey", 1), ("rgb", 3)])
def test_the_input_shape_follows_from_size_and_colour(colour: Any, channels: int) -> None:
    spec = ModelSpec(labels=("a", "b"), height=48, width=64, colour=colour)
    assert spec.input_shape == (1, 48, 64, channels)


def test_a_spec_without_the_optional_fields_is_read() -> None:
    spec = ModelSpec.from_json('{"format": 1, "labels": ["a", "b"], "height": 48, "width": 48}')
    assert spec == ModelSpec(labels=("a", "b"), height=48, width=48)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["only"]}, "at least two labels"),
        ({"labels": ["a", "a"]}, "names a label twice"),
        ({"labels": ["a", ""]}, "blank label"),
        ({"labels": ["a", " b"]}, "blank label"),
        ({"labels": ["a", "b\nc"]}, "line break"),
        ({"labels": ["a", "b\rc"]}, "line break"),
        ({"labels": ["a", "b\u2028c"]}, "line break"),
        ({"labels": ["a", 1]}, "wrong type"),
        ({"labels": "ab"}, "wrong type"),
        ({"height": 7}, "input size"),
        ({"width": 1025}, "input size"),
        ({"height": 48.0}, "wrong type"),
        ({"width": True}, "wrong type"),
        ({"colour": "bgr"}, "unknown colour 'bgr'"),
        ({"output": "sigmoid"}, "unknown output 'sigmoid'"),
        ({"input_range": [1, -1]}, "empty input range"),
        ({"input_range": [0, 1, 2]}, "wrong type"),
        ({"crop_margin": -0.5}, "crop margin"),
        ({"crop_margin": "0"}, "wrong type"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": float("nan")}, "temperature is not finite"),
        ({"temperature": 10**400}, "too large"),
        ({"threshold": 1.0}, "threshold"),
        ({"training": [1]}, "wrong type"),
        ({"contrast": 2}, "unknown field 'contrast'"),
        ({"format": SPEC_FORMAT + 1}, "newer emo-toolkit"),
        ({"format": "1"}, "not an emo-toolkit spec"),
    ],
)
def test_a_value_that_cannot_be_honoured_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ModelSpec.from_json(json.dumps(VALID | changes))


@pytest.mark.parametrize("field", ["format", "labels", "height", "width"])
def test_a_missing_field_is_refused(field: str) -> None:
    incomplete = {name: value for name, value in VALID.items() if name != field}
    with pytest.raises(ModelError):
        ModelSpec.from_json(json.dumps(incomplete))


@pytest.mark.parametrize("content", ["", "[]", "null", "{", b"\xff\xfe", "[" * 100_000, "9" * 5000])
def test_what_is_no_spec_is_refused(content: str | bytes) -> None:
    with pytest.raises(ModelError):
        ModelSpec.from_json(content)


@given(st.text() | st.binary())
def test_junk_is_never_read_and_raises_nothing_but_model_error(content: str | bytes) -> None:
    assert read(content) is None


@given(st.sampled_from([*VALID, "unknown"]), JSON)
def test_a_mutated_spec_is_refused_or_read_as_it_stands(field: str, value: Any) -> None:
    mutated = VALID | {field: value}
    spec = read(json.dumps(mutated))
    if spec is not None and field != "format":
        assert json.dumps(spec.to_json()[field]) == json.dumps(
            float(value) if isinstance(VALID[field], float) else value
        )


@given(st.data())
def test_a_truncated_spec_is_refused(data: st.DataObject) -> None:
    text = json.dumps(VALID)
    assert read(text[: data.draw(st.integers(0, len(text) - 1))]) is None
