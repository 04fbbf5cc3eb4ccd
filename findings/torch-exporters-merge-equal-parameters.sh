#!/usr/bin/env bash
# torch 2.13.0, onnx 1.23.1, onnxscript 0.7.2: both ONNX exporters of PyTorch write parameters that happen to be equal once.
#
# Guess: three nn.Linear layers give three weights. Seen: one. A layer that was copied (copy.deepcopy, as nn.TransformerEncoder
# copies its layer) is exported as a layer that is shared:
# - dynamo=True leaves no trace: one initialiser with three users. The graph signature still names three PARAMETERs, but does so
#   for a weight that really is shared too, so the file cannot tell which it was.
# - dynamo=False leaves `Identity(a.weight) -> b.weight`. A weight that really is shared has no Identity, unless its transpose was
#   folded: then two equal constants `onnx::MatMul_N` are merged, with an Identity again.
# - dynamo=False with training=TRAINING keeps all three.
# Whoever trains the exported file trains one layer instead of three; its gradient is the sum of theirs.
#
# Output:
#   dynamo: 1 weight, 0 Identity, 3 PARAMETERs
#   torchscript: 1 weight, 2 Identity
#   torchscript, training: 3 weights, 0 Identity
#   torchscript, shared: 1 weight, 0 Identity
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip install -qq --retries 0 torch==2.13.0 onnx==1.23.1 onnxscript==0.7.2
cat > try.py <<'PY'
import contextlib, copy, io, warnings
import onnx, torch
from torch import nn
warnings.filterwarnings("ignore")

class Three(nn.Module):
    def __init__(self, shared):
        super().__init__()
        self.a = nn.Linear(6, 6, bias=False)
        self.b = self.a if shared else copy.deepcopy(self.a)
        self.c = self.a if shared else copy.deepcopy(self.a)
    def forward(self, x):
        return self.c(torch.tanh(self.b(torch.tanh(self.a(x)))))

def count(path):
    graph = onnx.load(path).graph
    weights = [t for t in graph.initializer if list(t.dims) == [6, 6]]
    return len(weights), sum(n.op_type == "Identity" for n in graph.node)

def script(shared, **options):
    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(Three(shared).eval(), (torch.randn(2, 6),), "m.onnx", dynamo=False, do_constant_folding=False, **options)
    return count("m.onnx")

with contextlib.redirect_stdout(io.StringIO()):
    torch.onnx.export(Three(False).eval(), (torch.randn(2, 6),), dynamo=True, verbose=False).save("d.onnx", external_data=False)
signature = next(p.value for p in onnx.load("d.onnx").graph.metadata_props if p.key.endswith("graph_signature"))
found = [count("d.onnx") + (signature.count("PARAMETER"),), script(False), script(False, training=torch.onnx.TrainingMode.TRAINING), script(True)]
for name, numbers in zip(["dynamo", "torchscript", "torchscript, training", "torchscript, shared"], found):
    print(f"{name}: {numbers[0]} weight{'s' if numbers[0] > 1 else ''}, {numbers[1]} Identity" + (f", {numbers[2]} PARAMETERs" if len(numbers) > 2 else ""))
assert found == [(1, 0, 3), (1, 2), (3, 0), (1, 0)], found
PY
venv/bin/python try.py
