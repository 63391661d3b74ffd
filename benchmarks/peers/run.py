r"""emo-toolkit beside its peers: the same faces, pictures and videos, on one machine, in one go.

    python benchmarks/peers/run.py --cache ~/peers --data fer2013/ --video talk.mp4 \
        --yunet face_detection_yunet_2023mar.onnx --model mini_XCEPTION.hdf5 --input-range -1 1 \
        --json peers.json --markdown peers.md

Run it with the Python of the workstation install. Every peer gets an environment of its own below
--cache (some GB for `fer`, whose requirements include PyTorch with CUDA). See docs/peers.md.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from environments import PeerError, installed_bytes, our_environment, versions
from plan import Peer, bare, clean_environment, converted, last_line, programs
from protocol import Protocol, load_protocol
from report import markdown

from emo_bench.results import INTERRUPTED, Job, measure_all
from emo_edge.artifacts import write_bytes
from emo_edge.commands import guarded
from emo_edge.errors import SourceError, UsageError
from emo_train.data.fer2013 import FER_LABELS

MEASURE = Path(__file__).with_name("measure.py")
LIMIT_SECONDS = 3600.0


class Bench:
    """Measures peers, one after the other, in processes of their own.

    Args:
        cache: Folder of the environments.
        videos: Are given to whole programs.
        frames: Of each video, at most.
        starts: How often a process is started to time the start.
        protocol: Faces that score, or None.
        folder: For what lies between processes.
    """

    def __init__(
        self,
        cache: Path,
        videos: Sequence[Path],
        frames: int,
        starts: int,
        protocol: Protocol | None,
        folder: Path,
    ) -> None:
        self.cache, self.videos, self.frames, self.starts = cache, videos, frames, starts
        self.protocol, self.folder = protocol, folder
        self._picture = folder / "picture.png"
        cv2.imwrite(str(self._picture), _middle_frame(videos[0]))
        if protocol is not None:
            np.save(folder / "faces.npy", protocol.pixels)

    def measure(self, peer: Peer) -> dict[str, Any]:
        """Return everything about one peer."""
        python = peer.python(self.cache)
        return {
            "model": peer.name,
            "program": peer.program,
            "adapter": peer.adapter[0],
            "installed_bytes": installed_bytes(python),
            "versions": versions(python),
            "start": self._start(peer, python),
            "videos": [self._video(peer, python, v) for v in self.videos if peer.program],
            **self._score(peer, python),
        }

    def _start(self, peer: Peer, python: Path) -> dict[str, Any]:
        self._run(python, "start", peer.adapter, self._picture)  # fills the disk's cache
        runs = [self._run(python, "start", peer.adapter, self._picture) for _ in range(self.starts)]
        return {
            "runs": len(runs),
            "wall_seconds": round(min(run["wall_seconds"] for run in runs), 3),
            "cpu_seconds": round(statistics.median(run["cpu_seconds"] for run in runs), 3),
            "peak_rss_mib": round(max(run["peak_rss_mib"] for run in runs), 1),
        }

    def _video(self, peer: Peer, python: Path, video: Path) -> dict[str, Any]:
        watched = self._run(python, "stream", peer.adapter, video, self.frames)
        decoded = self._run(python, "decode", (), video, self.frames)
        return {
            "video": video.name,
            "frames": watched["frames"],
            "frames_with_face": watched["frames_with_face"],
            "cpu_ms_per_frame": round(watched["cpu_ms_per_frame"], 3),
            "decode_cpu_ms_per_frame": round(decoded["cpu_ms_per_frame"], 3),
            "rss_mib": round(watched["rss_mib"], 1),
            "peak_rss_mib": round(watched["peak_rss_mib"], 1),
        }

    def _score(self, peer: Peer, python: Path) -> dict[str, Any]:
        if self.protocol is None:
            return {}
        scored = self._run(python, "score", peer.adapter, self.folder / "faces.npy")
        answers = np.load(self.folder / "out.npz")
        labels = tuple(str(label) for label in answers["labels"])
        return {
            "cpu_ms_per_face": round(scored["cpu_ms_per_face"], 3),
            "score_peak_rss_mib": round(scored["peak_rss_mib"], 1),
            "scored_on": self.protocol.origin,
            "accuracy": self.protocol.score(answers["probabilities"], labels),
        }

    def _run(
        self, python: Path, what: str, adapter: Sequence[str], *subject: object
    ) -> dict[str, Any]:
        out = self.folder / "out.json"
        out.unlink(missing_ok=True)
        words = [python, MEASURE, what, out, *adapter, "--", *map(str, subject)]
        began = time.monotonic()
        try:
            done = subprocess.run(
                words,
                capture_output=True,
                text=True,
                check=False,
                timeout=LIMIT_SECONDS,
                env=clean_environment(self.cache),
                cwd=self.folder,
            )
        except subprocess.TimeoutExpired as error:
            raise PeerError(f"took longer than {LIMIT_SECONDS:.0f} s") from error
        if not out.exists():
            raise PeerError(f"does not run ({what}): {last_line(done.stderr)}")
        result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        if "monotonic" in result:  # one clock for all processes of a Linux machine
            result["wall_seconds"] = result["monotonic"] - began
        return result


def _middle_frame(video: Path) -> Any:
    capture = cv2.VideoCapture(str(video))
    capture.set(cv2.CAP_PROP_POS_FRAMES, capture.get(cv2.CAP_PROP_FRAME_COUNT) // 2)
    ok, frame = capture.read()
    capture.release()
    if not ok:
        raise SourceError(f"{video} is no video that OpenCV reads")
    return frame


def _fetch_yunet(cache: Path, file: Path) -> None:
    command = [our_environment(cache).with_name("emo-edge"), "fetch-detector", "--from", file]
    done = subprocess.run(
        command, capture_output=True, text=True, env=clean_environment(cache), check=False
    )
    if done.returncode:
        raise PeerError(last_line(done.stderr))


@guarded
def main(
    cache: Annotated[Path, typer.Option(help="Folder for environments and weights: 10 GB.")],
    video: Annotated[list[Path], typer.Option(help="Videos with one face; the first also starts.")],
    data: Annotated[Path | None, typer.Option(help="Folder with fer2013.csv, fer2013new.csv.")] = (
        None
    ),
    model: Annotated[
        list[Path] | None, typer.Option(help="Bare models: .tflite, .onnx, .keras, .h5, .hdf5.")
    ] = None,
    labels: Annotated[str, typer.Option(help="Labels of --model.")] = ",".join(FER_LABELS),
    input_range: Annotated[
        tuple[float, float], typer.Option(help="What --model wants pixels 0 and 255 to be.")
    ] = (-1.0, 1.0),
    yunet: Annotated[Path | None, typer.Option(help="YuNet's file, to measure it too.")] = None,
    frames: Annotated[int, typer.Option(min=20, help="Frames of each video, at most.")] = 300,
    starts: Annotated[int, typer.Option(min=1, help="Starts of a process to time.")] = 3,
    only: Annotated[list[str] | None, typer.Option(help="Only peers whose name begins so.")] = None,
    json_file: Annotated[Path, typer.Option("--json", help="Results.")] = Path("peers.json"),
    markdown_file: Annotated[Path, typer.Option("--markdown", help="Table.")] = Path("peers.md"),
) -> None:
    """Measure everyone and write a JSON file and a Markdown table."""
    cache = cache.expanduser().absolute()
    if yunet is not None:
        _fetch_yunet(cache, yunet)
    peers = programs(with_yunet=yunet is not None)
    for file in model or []:
        for each in [file, *converted(file, cache)]:
            peers += bare(each, labels.split(","), input_range)
    names = ", ".join(peer.name for peer in peers)
    peers = [peer for peer in peers if not only or peer.name.startswith(tuple(only))]
    if not peers:
        raise UsageError(f"no peer's name begins so; there are {names}")
    protocol = None if data is None else load_protocol(data)
    with tempfile.TemporaryDirectory() as folder:
        videos = [path.absolute() for path in video]
        bench = Bench(cache, videos, frames, starts, protocol, Path(folder))

        def job(peer: Peer) -> Job:
            return peer.name, lambda: bench.measure(peer)

        outcome = measure_all("peers", [job(peer) for peer in peers], json_file)
    text = markdown(outcome)
    write_bytes(markdown_file, f"{text}\n".encode())
    print(text)
    if outcome.exit_code == INTERRUPTED:
        raise typer.Exit(INTERRUPTED)


if __name__ == "__main__":
    typer.run(main)
