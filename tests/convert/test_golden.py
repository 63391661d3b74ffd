from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emo_convert.golden import CANDIDATES, KEPT, candidates, choose
from emo_edge.modelfile import Golden
from emo_edge.spec import ModelSpec


def pictures(count: int) -> NDArray[np.uint8]:
    """Return pictures that can be told apart by their first pixel."""
    return np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)


def two(happy: list[float]) -> NDArray[np.float32]:
    return np.stack([happy, 1 - np.array(happy)], axis=1).astype(np.float32)


@pytest.mark.parametrize(("colour", "channels"), [("grey", 1), ("rgb", 3)])
def test_candidates_fit_the_model_differ_and_never_change(colour: str, channels: int) -> None:
    spec = ModelSpec(("happy", "sad"), 40, 32, colour=colour)
    pixels = candidates(spec)
    assert (pixels.shape, pixels.dtype) == ((CANDIDATES, 40, 32, channels), np.uint8)
    assert len({picture.tobytes() for picture in pixels}) == CANDIDATES
    np.testing.assert_array_equal(pixels, candidates(spec))


def test_the_most_decisive_are_kept() -> None:
    happy = [0.5 + number / 50 for number in range(20)]  # all happy, ever surer
    golden = choose(pictures(20), two(happy))
    assert sorted(golden.pixels[:, 0, 0, 0]) == list(range(20 - KEPT, 20))


def test_every_class_that_wins_clearly_is_kept_by_its_clearest_candidate() -> None:
    happy = [0.99] * 20 + [0.35, 0.3, 0.38]
    golden = choose(pictures(23), two(happy))
    assert (golden.probabilities.argmax(axis=1) == 1).sum() == 1
    assert 21 in golden.pixels[:, 0, 0, 0]


def test_a_class_that_wins_narrowly_is_left_out() -> None:
    happy = [0.99] * 20 + [0.45, 0.41, 0.48]  # a runtime may answer these the other way round
    golden = choose(pictures(23), two(happy))
    assert golden.decisive.all()
    assert (golden.probabilities.argmax(axis=1) == 0).all()


@given(
    answers=st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=40)
)
def test_pictures_keep_their_answers_whatever_these_are(answers: list[list[float]]) -> None:
    given_answers = np.array(answers, np.float32)
    golden = choose(pictures(len(answers)), given_answers)
    assert len(golden.pixels) == min(KEPT, len(answers))
    rows = golden.pixels[:, 0, 0, 0]
    assert len(set(rows)) == len(rows)
    np.testing.assert_array_equal(golden.probabilities, given_answers[rows])
    clear = Golden(pictures(len(answers)), given_answers).decisive
    answered = set(given_answers[clear].argmax(axis=1))
    assert answered <= set(golden.probabilities.argmax(axis=1))
