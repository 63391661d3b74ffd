"""`emo-edge models`."""

from __future__ import annotations

from emo_edge.commands import guarded
from emo_edge.shipped import shipped_models


@guarded
def models() -> None:
    """List the models that come with the package."""
    from emo_edge.modelfile import read_model

    for name, path in shipped_models().items():
        spec = read_model(path).spec
        assert spec is not None  # a shipped model was made by emo-convert
        print(f"{name}  {path.stat().st_size / 1000:.0f} kB  {', '.join(spec.labels)}")
        for parity in spec.conversion["parity"]:
            top1 = f"top-1 {parity['accuracy']['export_top1']:.1%}"
            print(f"  {top1} of {parity['images']} {parity['origin']} faces, {parity['runtime']}")
        print(f"  card: {path.with_suffix('.md')}")
