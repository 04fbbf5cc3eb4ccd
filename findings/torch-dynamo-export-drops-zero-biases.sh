#!/usr/bin/env bash
# torch 2.13.0, onnx 1.23.1, onnxscript 0.7.2: torch.onnx.export(dynamo=True) leaves out a bias that is all zeros.
#
# Guess: a file with every parameter of the module, as long as the module's forward uses it.
# Seen: a Gemm whose bias is zeros loses it: `optimize`, which is on unless it is switched off, takes it for a term without effect.
# Many biases begin at zero (of nn.MultiheadAttention's projection by PyTorch's own initialisation), so whoever exports a fresh
# module to train the file trains one without them. The graph signature in the file's metadata still names the PARAMETER.
#
# Output (which parameters are in the file):
#   Linear, bias of ones: weight, bias
#   Linear, bias of zeros: weight
#   Linear, bias of zeros, optimize=False: weight, bias
#   Linear, bias of zeros, dynamo=False: weight, bias
#   fresh MultiheadAttention: out_proj.weight without out_proj.bias; signature names both
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip install -qq --retries 0 torch==2.13.0 onnx==1.23.1 onnxscript==0.7.2
cat > try.py <<'PY'
import contextlib, io, logging, warnings
import onnx, torch
from torch import nn
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.m = nn.MultiheadAttention(8, 2, batch_first=True)
    def forward(self, x):
        return self.m(x, x, x, need_weights=False)[0]

def linear(fill):
    layer = nn.Linear(4, 3)
    nn.init.constant_(layer.bias, fill)
    return layer

def export(module, x, **options):
    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(module, (x,), "m.onnx", **options)
    model = onnx.load("m.onnx")
    return [t.name for t in model.graph.initializer], "".join(p.value for p in model.graph.metadata_props if p.key.endswith("graph_signature"))

x, found = torch.randn(2, 4), []
for name, fill, options in (
    ("bias of ones", 1, dict(dynamo=True)),
    ("bias of zeros", 0, dict(dynamo=True)),
    ("bias of zeros, optimize=False", 0, dict(dynamo=True, optimize=False)),
    ("bias of zeros, dynamo=False", 0, dict(dynamo=False)),
):
    found.append([n for n in export(linear(fill), x, **options)[0] if n in ("weight", "bias")])
    print(f"Linear, {name}: {', '.join(found[-1])}")
names, signature = export(Attention(), torch.randn(2, 3, 8), dynamo=True)
assert "m.out_proj.weight" in names and "m.out_proj.bias" not in names, names
assert "m.out_proj.weight" in signature and "m.out_proj.bias" in signature, signature
print("fresh MultiheadAttention: out_proj.weight without out_proj.bias; signature names both")
both = ["weight", "bias"]
assert found == [both, ["weight"], both, both], found
PY
venv/bin/python try.py
