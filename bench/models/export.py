"""Exports real architectures with random weights from PyTorch, with PyTorch's gradients beside them.

    python bench/models/export.py [--small] [--out FOLDER] [NAME ...]

Needs torch, torchvision, timm, transformers, onnx and onnxscript; nothing is downloaded. For each architecture, under
FOLDER (bench/models/exported):

- <name>.<exporter>.onnx: torchscript (what torch.onnx.export with dynamo=False does by itself: constants and BatchNorm
  folded), unfolded (dynamo=False with both left as they are), dynamo, and dynamo23 (opset 23) where that has other ops;
- <name>.npz: `input/<name>`, `output`, `cotangent`; `gradients`, end to end, that PyTorch finds in float64 for
  loss = sum of cotangent * output, BatchNorm on its running statistics; and `facts`, JSON as bytes: where each gradient
  lies; for each exporter which constants it belongs to (see reference.py), constants that are no parameters,
  parameters that no constant holds, or why there is no model; PyTorch's own error in float32. For the unfolded model
  also gradients and next running statistics with BatchNorm on the statistics of the batch.

compare.ts reads them. --small writes the reduced versions, gzipped, that the test suite holds (test/fixtures/zoo).
"""
import argparse
import contextlib
import gzip
import io
import json
import sys
import traceback
import warnings
import zlib
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from reference import batch_norms, gradients, match, training_gradients
from zoo import ARCHITECTURES, CALIBRATED, OLDEST_OPSET, SOURCES

EXPORTERS = ("torchscript", "unfolded", "dynamo", "dynamo23")
OPSET = {"dynamo": {}, "dynamo23": {"opset_version": 23}}


def randomise(model):
    """
    Parameters that start constant, and running statistics, away from their start, and no matrix so small that an
    attention is uniform or a layer silent: else gradients are alike, or nothing. Nor are two parameters equal (layers that
    were copied), which an exporter makes one.
    """
    seen = set()
    with torch.no_grad():
        for name, p in model.named_parameters():
            least = 0.5 / p[0].numel() ** 0.5 if p.ndim > 1 else 0.0
            if (p == p.flatten()[0]).all():
                scale = name.endswith("weight") and p.ndim == 1
                start = 1.0 if scale else 0.3 if "scale" in name or "gamma" in name else 0.2
                p.copy_(start + 0.2 * torch.randn_like(p))
            elif p.std() < least:
                p.mul_(least / p.std())
            if p.numpy().tobytes() in seen:
                p.mul_(1 + 0.2 * torch.randn_like(p))
            seen.add(p.numpy().tobytes())
        for norm in batch_norms(model).values():
            norm.running_mean.normal_(0, 0.2)
            norm.running_var.uniform_(0.5, 1.5)


def calibrate(model, inputs):
    """Running statistics of these inputs: deep networks of random scales amplify until float32 holds no digit of a gradient."""
    for norm in batch_norms(model).values():
        norm.momentum = 1.0
        norm.train()
    with torch.no_grad():
        model(*inputs.values())


def export(model, inputs, path, exporter, oldest):
    """Writes the model, with a dynamic batch where the exporter can; says whether it could."""
    names, args = list(inputs), tuple(inputs.values())
    common = dict(input_names=names, output_names=["output"], verbose=False)
    errors = []
    for dynamic in (True, False):
        try:
            if exporter.startswith("dynamo"):
                shapes = tuple({0: torch.export.Dim("batch", min=1, max=4096)} for _ in args) if dynamic else None
                program = torch.onnx.export(model, args, dynamo=True, dynamic_shapes=shapes, **OPSET[exporter], **common)
                program.save(str(path), include_initializers=True, external_data=False)
            else:
                unfolded = exporter == "unfolded"
                torch.onnx.export(
                    model, args, str(path), dynamo=False, opset_version=max(14 if unfolded else 17, oldest),
                    do_constant_folding=not unfolded,
                    training=torch.onnx.TrainingMode.PRESERVE if unfolded else torch.onnx.TrainingMode.EVAL,
                    dynamic_axes={k: {0: "batch"} for k in [*names, "output"]} if dynamic else None, **common,
                )
            return dynamic
        except Exception as error:  # noqa: BLE001 (an exporter may fail in any way; the reason is kept)
            errors.append(error)
    raise errors[0]


def tidy(path):
    """Without the exporter's traces of its own source files, which are most of a small file."""
    proto = onnx.load(path)
    del proto.metadata_props[:]
    graph = proto.graph
    for item in [*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]:
        item.ClearField("doc_string")
        del item.metadata_props[:]
    del graph.value_info[:]
    onnx.save(proto, path)
    return proto


def op_types(proto):
    return {node.op_type for node in proto.graph.node}


def constants_of(proto):
    """Float constants by name: initialisers and Constant nodes."""
    tensors = {t.name: t for t in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    for node in proto.graph.node:  # what the exporter merged with an equal initialiser
        if node.op_type == "Identity" and node.input[0] in tensors:
            tensors[node.output[0]] = tensors[node.input[0]]
    return {k: numpy_helper.to_array(t) for k, t in tensors.items() if t.data_type == onnx.TensorProto.FLOAT and t.dims}


def reason(error):
    """An exporter's error in one line, with its first cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"


def own_errors(single, gradient):
    """Relative errors of PyTorch's float32 gradients, by parameter, to two digits."""
    size = np.linalg.norm
    return {k: float(f"{size(single[k] - g) / max(size(g), 1e-300):.1e}") for k, g in gradient.items()}


def fresh(name):
    """Whether the model stays as it was initialised. Many of its parameters are equal, and only their names tell them apart."""
    return name.endswith("-fresh")


def build(name, small):
    seed = zlib.crc32(name.encode())
    torch.manual_seed(seed)
    model, inputs = ARCHITECTURES[name](small)
    if not fresh(name):
        randomise(model)
        if name in CALIBRATED:
            calibrate(model, inputs)
    return model.eval(), inputs


def training(model, inputs, cotangent, entries, proto, keep):
    """With BatchNorm on the statistics of the batch: gradients by parameter, and next running statistics by constant."""
    single, _ = training_gradients(model, inputs, cotangent, torch.float32)
    gradient, after = training_gradients(model, inputs, cotangent, torch.float64)
    names = list(constants_of(proto))
    return {
        "gradients": {e["of"]: keep(f"training {e['of']}", gradient[e["of"]]) for e in entries},
        "statistics": {n: keep(f"next {k}", a) for k, a in after.items() for n in names if n == k or n.endswith(f".{k}")},
        "float32": own_errors(single, gradient),
    }


def export_one(name, small, out):
    model, inputs = build(name, small)
    arrays = {f"input/{k}": v.numpy() for k, v in inputs.items()}
    protos, failures = {}, {}
    for exporter in ("unfolded",) if fresh(name) else EXPORTERS:
        path = out / f"{name}.{exporter}.onnx"
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # a failing exporter prints its whole graph
                dynamic = export(model, inputs, path, exporter, OLDEST_OPSET.get(name, 0))
            proto = tidy(path)
            if exporter == "dynamo23" and "dynamo" in protos and op_types(proto) <= op_types(protos["dynamo"][0]):
                path.unlink()  # the same model under another number
                continue
            protos[exporter] = (proto, dynamic)
        except Exception as error:  # noqa: BLE001
            failures[exporter] = reason(error)
    torch.manual_seed(1)
    with torch.no_grad():
        cotangent = torch.randn_like(model(*inputs.values()))
    constants = {e: constants_of(p) for e, (p, _) in protos.items()}
    wanted = {f"{e}/{k}": a for e, c in constants.items() for k, a in c.items()}
    _, single, _ = gradients(model, inputs, cotangent, torch.float32)
    output, gradient, watched = gradients(model, inputs, cotangent, torch.float64, wanted)
    models = {e: {"failed": why} for e, why in failures.items()}
    flat, places = [], {}

    def keep(of, array):
        key = f"{of} {list(array.shape)}"
        if key not in places:
            places[key] = [sum(a.size for a in flat), array.size]
            flat.append(array.astype(np.float32).ravel())
        return key

    for exporter, (proto, dynamic) in protos.items():
        entries, strangers, not_held = match(constants[exporter], model, gradient, watched)
        for entry in entries:
            entry["gradient"] = keep(entry["of"], entry["gradient"])
        models[exporter] = {
            "opset": next(o.version for o in proto.opset_import if o.domain == ""),
            "nodes": len(proto.graph.node),
            "dynamicBatch": dynamic,
            "entries": entries,
            "notParameters": strangers,
            "notHeld": not_held,
        }
        if exporter == "unfolded" and batch_norms(model):
            models[exporter]["training"] = training(model, inputs, cotangent, entries, proto, keep)
    facts = {
        "source": SOURCES[name],
        "inputs": {k: list(v.shape) for k, v in inputs.items()},
        "parameters": sum(p.numel() for p in model.parameters()),
        "float32": own_errors(single, gradient),
        "gradients": places,
        "models": models,
    }
    arrays |= {
        "output": output.astype(np.float32),
        "cotangent": cotangent.numpy(),
        "gradients": np.concatenate(flat),
        "facts": np.frombuffer(json.dumps(facts, allow_nan=False, separators=(",", ":")).encode(), np.uint8),
    }
    np.savez_compressed(out / f"{name}.npz", **arrays)
    if small:
        for exporter in protos:
            path = out / f"{name}.{exporter}.onnx"
            Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
            path.unlink()
    return protos, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ARCHITECTURES)}; default: all")
    parser.add_argument("--small", action="store_true", help="reduced widths and depths")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "exported")
    options = parser.parse_args()
    unknown = set(options.names) - set(ARCHITECTURES)
    if unknown:
        parser.error(f"no architecture {', '.join(sorted(unknown))}; known: {', '.join(ARCHITECTURES)}")
    options.out.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in options.names or ARCHITECTURES:
        try:
            protos, failures = export_one(name, options.small, options.out)
            print(name, *(f"{e}: {len(p.graph.node)} nodes" for e, (p, _) in protos.items()), *(f"{e}: {why}" for e, why in failures.items()), sep="; ", flush=True)
        except Exception:  # noqa: BLE001
            failed = True
            print(f"{name}: failed\n{traceback.format_exc()}", file=sys.stderr)
    sys.exit(failed)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()
