from __future__ import annotations

from pathlib import Path

import keras
import pytest

from emo_train.precision import CPUINFO, computes_in_bfloat16, warn_if_emulated

OLD_X86 = "flags\t\t: fpu sse2 avx avx2 fma\n"
NEW_X86 = "flags\t\t: fpu sse2 avx avx2 fma avx512f avx512_bf16 avx512_vnni\n"
OLD_ARM = "Features\t: fp asimd evtstrm crc32 cpuid\n"
NEW_ARM = "Features\t: fp asimd i8mm bf16\n"


@pytest.mark.parametrize(
    ("cpuinfo", "has"), [(OLD_X86, False), (NEW_X86, True), (OLD_ARM, False), (NEW_ARM, True)]
)
def test_a_processor_with_bfloat16_is_known_by_its_flags(cpuinfo: str, has: bool) -> None:
    assert computes_in_bfloat16(cpuinfo) is has


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="TensorFlow is what emulates in silence"
)
@pytest.mark.skipif(not CPUINFO.exists(), reason="no /proc/cpuinfo")
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_emulated_bfloat16_is_told_before_it_costs_hours(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    precision: str,
) -> None:
    for name, cpuinfo in (("old", OLD_X86), ("new", NEW_X86)):
        (tmp_path / name).write_text(cpuinfo)
        monkeypatch.setattr("emo_train.precision.CPUINFO", tmp_path / name)
        warn_if_emulated(precision)
        told = "no bfloat16 instructions" in capsys.readouterr().err
        assert told is (precision == "mixed_bfloat16" and name == "old")
