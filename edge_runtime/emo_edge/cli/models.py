"""`emo-edge models`."""

from __future__ import annotations

from pathlib import Path

from emo_edge.commands import guarded
from emo_edge.shipped import DEFAULT, shipped_nets


@guarded
def models() -> None:
    """List the models that come with the package.

    A net's name (--model base) stands for its int8 file; a file goes by its own name too
    (--model base-fp16).
    """
    for net, files in shipped_nets().items():
        print(f"{net} (the default)" if net == DEFAULT else net)
        for name, path in files.items():
            _show(name, path)


def _show(name: str, path: Path) -> None:
    from emo_edge.modelfile import read_model

    spec = read_model(path).spec
    assert spec is not None  # a shipped model was made by emo-convert
    print(f"  {name}  {path.stat().st_size / 1000:.0f} kB  {', '.join(spec.labels)}")
    for parity in spec.conversion["parity"]:
        top1 = f"top-1 {parity['accuracy']['export_top1']:.1%}"
        print(f"    {top1} of {parity['images']} {parity['origin']} faces, {parity['runtime']}")
    print(f"    card: {path.with_suffix('.md')}")
