"""What a board says about itself, played from folders of files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.playing import PI_CPU, PI_SYSFS_FLAGS, PI_ZONE, firmware, play, raspberry_pi
from emo_edge.board.sensors import (
    THROTTLE_BITS,
    BoardState,
    Throttling,
    board_model,
    celsius,
    cpu_model,
    decode,
    read_board,
    throttle_celsius,
    throttling,
)


def test_a_raspberry_pi_tells_everything(tmp_path: Path) -> None:
    board = raspberry_pi(tmp_path, celsius=48.3, word=0x50005)
    assert board_model(board) == "Raspberry Pi 4 Model B Rev 1.4"
    state = read_board(board)
    happened = ("under-voltage", "throttled")
    assert state == BoardState(
        48.3, Throttling(happened, happened), "ondemand", 600.0, 1800.0, 0.52
    )


def test_a_board_without_any_sensor_tells_nothing_and_that_is_no_error(tmp_path: Path) -> None:
    assert read_board(tmp_path) == BoardState(None, None, None, None, None, None)
    assert board_model(tmp_path) is None


def test_this_machine_can_be_read() -> None:
    state = read_board()
    assert state.load is not None
    assert state.celsius is None or -40 < state.celsius < 126
    assert cpu_model()


@given(st.integers(0, 2**32 - 1))
def test_every_bit_of_the_throttle_word_has_its_name(word: int) -> None:
    said = decode(word)
    for bit, name in THROTTLE_BITS.items():
        assert (name in said.now) == bool(word & 1 << bit)
        assert (name in said.since_boot) == bool(word & 1 << bit + 16)


@pytest.mark.parametrize(
    "script",
    [
        "echo VCHI initialization failed >&2; exit 255",
        "echo throttled=nonsense",
        "echo 'error=1 error_msg=Command not registered'",
        "printf '\\377\\376'",
    ],
)
def test_where_the_firmware_may_not_be_asked_the_kernel_is(tmp_path: Path, script: str) -> None:
    board = firmware(play(tmp_path, **{PI_SYSFS_FLAGS: "50005\n"}), script)
    # The kernel's file forgets: what it says about the past is not repeated.
    assert throttling(board) == Throttling(("under-voltage", "throttled"))


def test_the_voltage_sensor_of_the_mainline_kernel(tmp_path: Path) -> None:
    sensor = "sys/class/hwmon/hwmon1"
    play(tmp_path, **{"sys/class/hwmon/hwmon0/name": "cpu_thermal\n"})
    play(tmp_path, **{f"{sensor}/name": "rpi_volt\n", f"{sensor}/in0_lcrit_alarm": "0\n"})
    assert throttling(tmp_path) == Throttling()
    play(tmp_path, **{f"{sensor}/in0_lcrit_alarm": "1\n"})
    assert throttling(tmp_path) == Throttling(("under-voltage",))


def zones(root: Path, *zones: tuple[str, str]) -> Path:
    for number, (kind, temperature) in enumerate(zones):
        folder = f"sys/class/thermal/thermal_zone{number}"
        play(root, **{f"{folder}/type": f"{kind}\n", f"{folder}/temp": f"{temperature}\n"})
    return root


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([("iwlwifi_1", "61000"), ("acpitz", "27800"), ("x86_pkg_temp", "52000")], 52.0),
        ([("gpu-thermal", "70000"), ("CPU-therm", "45500")], 45.5),
        ([("soc-thermal", "40000"), ("bigcore0-thermal", "44000"), ("gpu-thermal", "60000")], 44.0),
        ([("littlecore-thermal", "41000"), ("bigcore1-thermal", "47000")], 47.0),
        ([("cpu0-thermal", "0"), ("battery", "31000")], 31.0),
        ([("cpu-thermal", "-274000"), ("soc_thermal", "39000")], 39.0),
        ([("cpu-thermal", "127000")], None),
        ([("cpu-thermal", "hot")], None),
        ([("cpu-thermal", "-5250")], -5.25),
        ([("acpitz", "27800")], 27.8),
    ],
)
def test_the_cpus_zone_is_chosen_and_a_dead_one_is_not(
    tmp_path: Path, there: list[tuple[str, str]], expected: float | None
) -> None:
    assert celsius(zones(tmp_path, *there)) == expected


def test_of_unlike_cores_the_fastest_is_reported(tmp_path: Path) -> None:
    raspberry_pi(tmp_path)
    fast = "sys/devices/system/cpu/cpu4/cpufreq"
    play(
        tmp_path,
        **{
            f"{fast}/scaling_governor": "schedutil",
            f"{fast}/scaling_cur_freq": "408000",
            f"{fast}/cpuinfo_max_freq": "2400000",
        },
    )
    state = read_board(tmp_path)
    assert (state.governor, state.megahertz, state.max_megahertz) == ("schedutil", 408.0, 2400.0)
    (tmp_path / fast / "scaling_cur_freq").unlink()
    assert read_board(tmp_path).megahertz is None


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor\t: 0\nmodel name\t: Intel(R) N100\n", "Intel(R) N100"),
        ("processor: 0\nCPU part\t: 0xd08\n\nModel\t\t: Raspberry Pi 4 Model B", "Raspberry Pi 4"),
        ("processor: 0\nCPU part\t: 0xd08\n", "CPU part 0xd08"),
    ],
)
def test_the_cpus_name(tmp_path: Path, cpuinfo: str, expected: str) -> None:
    assert (cpu_model(play(tmp_path, **{"proc/cpuinfo": cpuinfo})) or "").startswith(expected)


def test_unreadable_files_are_what_is_not_told(tmp_path: Path) -> None:
    raspberry_pi(tmp_path)
    (tmp_path / PI_ZONE / "temp").unlink()
    (tmp_path / PI_ZONE / "temp").mkdir()
    (tmp_path / PI_CPU / "cpuinfo_max_freq").write_bytes(b"\xff\xfe")
    state = read_board(tmp_path)
    assert state.celsius is None
    assert state.megahertz is None


@pytest.mark.parametrize(
    ("trips", "expected"),
    [
        ({}, 80.0),
        ({"0": ("critical", "110000")}, 80.0),
        ({"0": ("passive", "85000"), "1": ("passive", "70000"), "2": ("active", "50000")}, 70.0),
        ({"0": ("passive", "0")}, 80.0),
        ({"0": ("passive", "-274000")}, 80.0),
    ],
)
def test_the_limit_is_the_kernels_passive_trip_point_or_the_raspberry_pis(
    tmp_path: Path, trips: dict[str, tuple[str, str]], expected: float
) -> None:
    zones(tmp_path, ("gpu-thermal", "40000"), ("cpu-thermal", "50000"))
    play(tmp_path, **{f"{PI_ZONE}/trip_point_0_type": "passive"})  # the GPU's
    play(tmp_path, **{f"{PI_ZONE}/trip_point_0_temp": "61000"})
    for number, (kind, temperature) in trips.items():
        trip = f"sys/class/thermal/thermal_zone1/trip_point_{number}"
        play(tmp_path, **{f"{trip}_type": f"{kind}\n", f"{trip}_temp": f"{temperature}\n"})
    assert throttle_celsius(tmp_path) == expected
