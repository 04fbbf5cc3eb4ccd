"""PyTorch's gradients, and which of an exported model's constants they belong to.

An exporter renames, transposes, slices, gathers and folds. So constants are matched with parameters by value:

- a parameter as it is, or with its axes permuted;
- a tensor that the model computes from parameters alone (a slice of a packed projection, a gathered table of
  positions): its gradient is taken at that tensor;
- a convolution's weight and bias with a BatchNorm folded in: W' = W·s and b' = β + (b − μ)·s with s = γ/√(σ² + ε) for
  each output channel, so dL/dW' = (dL/dW)/s and dL/db' = dL/dβ;
- weights of an LSTM or GRU with its gates in ONNX's order and its directions stacked.

Several constants may hold one parameter (tied embeddings that the exporter wrote twice): their gradients add up to it.
"""
from itertools import permutations

import numpy as np
import torch
from torch.overrides import TorchFunctionMode


class Watch(TorchFunctionMode):
    """Keeps the gradients of computed tensors that hold the numbers of one of `wanted` (name -> array)."""

    def __init__(self, wanted):
        self.sizes = {a.size for a in wanted.values()}
        self.kept = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for t in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(t, torch.Tensor) and t.numel() in self.sizes and t.requires_grad and not t.is_leaf:
                t.retain_grad()
                self.kept.append(t)
        return out


def gradients(model, inputs, cotangent, dtype, wanted=()):
    """Gradients of Σ cotangent·output: by parameter name, and [(value, gradient, parameters)] of the tensors watched for."""
    model.to(dtype).zero_grad()
    args = [x.to(dtype) if x.is_floating_point() else x for x in inputs.values()]
    with Watch(dict(wanted)) as watch:
        output = model(*args)
    (output * cotangent.to(dtype)).sum().backward()
    found = {k: p.grad.numpy().copy() if p.grad is not None else np.zeros(p.shape) for k, p in model.named_parameters()}
    names = {id(p): k for k, p in model.named_parameters()}
    watched = [(t.detach().numpy(), t.grad.numpy(), leaves(t, names)) for t in watch.kept if t.grad is not None]
    return output.detach().numpy(), found, watched


def batch_norms(model):
    return {k: m for k, m in model.named_modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)}


def training_gradients(model, inputs, cotangent, dtype):
    """The same with BatchNorm on the statistics of the batch: gradients, and the running statistics after it."""
    norms = batch_norms(model)
    for norm in norms.values():
        norm.train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    _, gradient, _ = gradients(model, inputs, cotangent, dtype)
    after = {
        f"{k}.{s}": getattr(m, s).double().numpy().copy() for k, m in norms.items() for s in ("running_mean", "running_var")
    }
    model.load_state_dict(before)
    model.eval()
    return gradient, after


def _close(a, b):
    return np.allclose(a, b, rtol=2e-5, atol=2e-6 * (np.abs(b).max() + 1e-30))


def permutation(constant, value):
    """The axes p such that constant.transpose(p) has value's numbers in value's order; None if there are none."""
    if constant.size != value.size:
        return None
    flat = value.ravel()
    for perm in permutations(range(constant.ndim)) if constant.ndim <= 5 else [tuple(range(constant.ndim))]:
        if _close(constant.transpose(perm).ravel(), flat):
            return list(perm)
    return None


def leaves(tensor, names):
    """Names of the parameters that a tensor is computed from."""
    found, stack, seen = set(), [tensor.grad_fn], set()
    while stack:
        function = stack.pop()
        if function is None or function in seen:
            continue
        seen.add(function)
        if hasattr(function, "variable"):
            found.add(names[id(function.variable)])
        stack += [f for f, _ in function.next_functions]
    return sorted(found)


def folded(constants, model, gradient):
    """Constants that are a convolution with a BatchNorm folded in: name -> (what it is, gradient, parameters)."""
    found = {}
    norms = batch_norms(model)
    array = lambda t: t.detach().double().numpy()
    for name, conv in model.named_modules():
        if not isinstance(conv, torch.nn.Conv2d):
            continue
        weight = array(conv.weight)
        for key, norm in norms.items():
            if norm.num_features != weight.shape[0]:
                continue
            s = array(norm.weight) / np.sqrt(array(norm.running_var) + norm.eps)
            bias = array(norm.bias) - array(norm.running_mean) * s + (array(conv.bias) * s if conv.bias is not None else 0)
            column = s.reshape(-1, 1, 1, 1)
            w = next((c for c, a in constants.items() if a.shape == weight.shape and _close(a, weight * column)), None)
            b = next((c for c, a in constants.items() if a.shape == bias.shape and _close(a, bias)), None)
            if w is None or b is None:
                continue
            parameters = [k for k in (f"{name}.weight", f"{name}.bias", f"{key}.weight", f"{key}.bias") if k in gradient]
            found[w] = (f"{name}.weight, BatchNorm folded in", gradient[f"{name}.weight"] / column, parameters)
            found[b] = (f"{name}.bias, BatchNorm folded in", gradient[f"{key}.bias"], parameters)
            break
    return found


# ONNX's order of the gates (iofc, zrh) in PyTorch's (ifgo, rzn).
GATES = {torch.nn.LSTM: (0, 3, 1, 2), torch.nn.GRU: (1, 0, 2)}


def recurrent(constants, model, gradient):
    """Constants that are the W, R or B of a recurrent layer: name -> (what it is, gradient, parameters)."""
    value = {k: p.detach().double().numpy() for k, p in model.named_parameters()}
    found = {}
    for name, module in model.named_modules():
        order = GATES.get(type(module))
        if order is None:
            continue

        def reordered(array):
            gates = np.split(array, len(order))
            return np.concatenate([gates[g] for g in order])

        directions = ["", "_reverse"] if module.bidirectional else [""]
        for layer in range(module.num_layers):
            for kinds in (["weight_ih"], ["weight_hh"], ["bias_ih", "bias_hh"]):
                keys = [[f"{name}.{kind}_l{layer}{d}" for kind in kinds] for d in directions]

                def stacked(of):
                    return np.stack([np.concatenate([reordered(of[k]) for k in group]) for group in keys])

                wanted = stacked(value)
                for constant, array in constants.items():
                    if array.size == wanted.size and _close(array.ravel(), wanted.ravel()):
                        flat = [k for group in keys for k in group]
                        of = f"{', '.join(flat)}, in ONNX's order"
                        found[constant] = (of, stacked(gradient).reshape(array.shape), flat)
    return found


def match(constants, model, gradient, watched):
    """
    What to compare: [{gradient, of, from: [{name, perm}]}]: the gradients of the constants `from`, axes permuted, add up
    to `gradient`, which belongs to `of`. And the names of constants that are nobody's, and of parameters that no constant
    holds.
    """
    value = {k: p.detach().numpy() for k, p in model.named_parameters()}
    buffers = {k for k, _ in model.named_buffers()}
    groups, left = {}, dict(constants)
    for name, constant in constants.items():
        if name in buffers:  # running statistics, which a fresh model has equal to scales and biases
            continue
        candidates = sorted(value, key=lambda k: not (name == k or name.endswith(k)))
        for key in candidates:
            perm = permutation(constant, value[key])
            if perm is not None:
                groups.setdefault(key, []).append({"name": name, "perm": perm})
                del left[name]
                break
    entries = [{"gradient": gradient[k], "of": k, "from": v} for k, v in groups.items()]
    held = set(groups)
    for name, (of, g, parameters) in (folded(left, model, gradient) | recurrent(left, model, gradient)).items():
        entries.append({"gradient": g, "of": of, "from": [{"name": name, "perm": list(range(g.ndim))}]})
        held.update(parameters)
        del left[name]
    for name, constant in list(left.items()):
        for value, g, parameters in watched:
            perm = permutation(constant, value)
            if perm is not None:
                of = f"{', '.join(parameters)}, as computed for {name}"
                entries.append({"gradient": g, "of": of, "from": [{"name": name, "perm": perm}]})
                held.update(parameters)
                del left[name]
                break
    return entries, list(left), sorted(set(gradient) - held)
