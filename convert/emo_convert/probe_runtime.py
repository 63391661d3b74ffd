"""Find out which operators and versions a TFLite runtime accepts, by asking it one by one.

    python -m emo_convert.probe_runtime models/                  (needs TensorFlow: writes models)
    python probe_runtime.py models/ --ask > runtime_tables/X.json  (needs the runtime only)

Each model has one operator without inputs. A runtime that has no kernel for it says so when the
interpreter is built, before anything is run: "Registration failed". Asking happens in
child processes, because some runtimes crash on some of these models; a crash is past the look-up,
so the operator was found.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

HIGHEST_VERSION = 20
NOT_FOUND = "Registration failed"


def write_models(folder: Path) -> None:
    """Write FOLDER/<operator>-<version>.tflite for every builtin operator and version 1 to 20."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    folder.mkdir(parents=True, exist_ok=True)
    for name, number in vars(schema.BuiltinOperator).items():
        if name.startswith("_") or name in (
            "CUSTOM",
            "DELEGATE",
            "PLACEHOLDER_FOR_GREATER_OP_CODES",
        ):
            continue
        for version in range(1, HIGHEST_VERSION + 1):
            code = schema.OperatorCodeT()
            code.builtinCode, code.version = number, version
            code.deprecatedBuiltinCode = min(number, 127)
            operator = schema.OperatorT()
            operator.opcodeIndex, operator.inputs, operator.outputs = 0, [], []
            graph = schema.SubGraphT()
            graph.tensors, graph.inputs, graph.outputs = [], [], []
            graph.operators = [operator]
            model = schema.ModelT()
            model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
            model.buffers = [schema.BufferT()]
            builder = flatbuffers.Builder(256)
            builder.Finish(model.Pack(builder), b"TFL3")
            (folder / f"{name}-{version}.tflite").write_bytes(bytes(builder.Output()))


def ask(folder: Path) -> dict[str, list[int]]:
    """Return {operator: [lowest, highest accepted version]} of the runtime installed here."""
    models = sorted(folder.glob("*.tflite"))
    answers: dict[str, bool] = {}
    while len(answers) < len(models):
        rest = [str(m) for m in models if m.stem not in answers]
        child = subprocess.run(
            [sys.executable, __file__, "--child", *rest],
            capture_output=True,
            text=True,
            check=False,
        )
        for line in child.stdout.splitlines():
            stem, _, answer = line.partition(" ")
            answers[stem] = answer == "yes"
        if child.returncode:  # it crashed on the first model that it did not answer
            answers[next(m.stem for m in models if m.stem not in answers)] = True
    accepted: dict[str, list[int]] = {}
    for stem, found in answers.items():
        name, _, version = stem.rpartition("-")
        if found:
            versions = accepted.setdefault(name, [])
            versions[:] = [min([int(version), *versions]), max([int(version), *versions])]
    return dict(sorted(accepted.items()))


def _child(paths: list[str]) -> None:
    interpreter = _runtime()[1]
    for path in paths:
        try:
            interpreter(model_path=path)
            found = True
        except (ValueError, RuntimeError) as error:
            found = NOT_FOUND not in str(error)
        print(Path(path).stem, "yes" if found else "no", flush=True)


def _runtime() -> tuple[str, type]:
    for module, distribution in (
        ("ai_edge_litert.interpreter", "ai-edge-litert"),
        ("tflite_runtime.interpreter", "tflite-runtime"),
    ):
        try:
            interpreter = import_module(module).Interpreter
        except ImportError:
            continue
        return f"{distribution} {metadata.version(distribution)}", interpreter
    sys.exit("neither ai-edge-litert nor tflite-runtime is installed here")


def main() -> None:
    """Write the models, or ask the runtime installed here and print its table."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--child"]:
        _child(arguments[1:])
    elif arguments[1:] == ["--ask"]:
        table = {"runtime": _runtime()[0], "operators": ask(Path(arguments[0]))}
        lines = json.dumps(table, indent=1).replace("[\n   ", "[").replace(",\n   ", ", ")
        print(lines.replace("\n  ]", "]"))
    elif len(arguments) == 1:
        write_models(Path(arguments[0]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
