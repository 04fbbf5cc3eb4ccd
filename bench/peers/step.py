"""The steps of bench/workloads.ts in PyTorch, as a peer: answers "<part> <count>" with milliseconds per repetition.

Parts: teacher, student, whole, kept, as in bench/workload.ts, and profile: the student's step by PyTorch's own profiler; each also with "/channels_last" where the inputs are images for convolutions. Loss and
optimizer as in bench/workload.ts. Started by bench/peer.ts: step.py <workload> <threads>; first line out says which PyTorch
this is. With --memory <steps> it does that many whole steps instead and says how much memory the process had at most.
"""
import json
import sys

import torch
import torch.nn.functional as F
from torch import nn

from answer import answer, peak_megabytes

TEMPERATURE, ALPHA, WEIGHT = 3.0, 0.3, 0.5


def conv_bn(inputs, outputs, kernel, stride):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first, self.second = conv_bn(inputs, outputs, 3, stride), conv_bn(outputs, outputs, 3, 1)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, 1, stride)

    def forward(self, x):
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, widths, blocks):
        super().__init__()
        body, before = [conv_bn(3, widths[0], 3, 1), nn.ReLU()], widths[0]
        for stage, width in enumerate(widths):
            for i in range(blocks):
                body.append(Block(before, width, 2 if stage > 0 and i == 0 else 1))
                before = width
        self.body, self.head = nn.Sequential(*body), nn.Linear(before, 10)

    def forward(self, x):
        features = self.body(x)
        return self.head(features.mean((2, 3))), features


class Attention(nn.Module):
    """Fused products and PyTorch's own attention: what a PyTorch user would write."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        n, t, c = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, c))


class TransformerBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.perceptron(self.norm2(x))


class Transformer(nn.Module):
    def __init__(self, width, depth, heads, classes, length, vocabulary=None):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width) if vocabulary else nn.Conv2d(3, width, 4, 4)
        self.position = nn.Parameter(0.02 * torch.randn(1, length, width))
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x):
        x = self.embedding(x)
        if x.ndim == 4:
            x = x.flatten(2).transpose(1, 2)
        features = self.norm(self.blocks(x + self.position))
        return self.head(features.mean(1)), features


class Perceptron(nn.Module):
    def __init__(self, *widths):
        super().__init__()
        layers, before = [], 784
        for width in widths:
            layers += [nn.Linear(before, width), nn.ReLU()]
            before = width
        self.layers = nn.Sequential(*layers, nn.Linear(before, 10))

    def forward(self, x):
        return self.layers(x), None


def images(batch):
    return torch.randn(batch, 3, 32, 32)


# name: (batch, classes, inputs, teacher, student, with selectivity)
WORKLOADS = {
    "resnet": (64, 10, images, lambda: ResNet([32, 64, 128], 3), lambda: ResNet([16, 32, 64], 1), True),
    "vit": (
        32,
        10,
        images,
        lambda: Transformer(192, 12, 3, 10, 64),
        lambda: Transformer(96, 12, 3, 10, 64),
        False,
    ),
    "bert": (
        16,
        4,
        lambda batch: torch.randint(0, 30522, (batch, 128)),
        lambda: Transformer(256, 4, 4, 4, 128, 30522),
        lambda: Transformer(256, 2, 4, 4, 128, 30522),
        False,
    ),
    "mlp": (
        256,
        10,
        lambda batch: torch.randn(batch, 784),
        lambda: Perceptron(1024, 1024),
        lambda: Perceptron(128),
        False,
    ),
}


def variance(x):
    return x.var((0, 2, 3), unbiased=False)


POOL_BATCHES = 4


def make_parts(name, memory_format):
    batch, classes, make_inputs, make_teacher, make_student, selective = WORKLOADS[name]
    torch.manual_seed(0)
    teacher = make_teacher().to(memory_format=memory_format).eval()
    student = make_student().to(memory_format=memory_format).train()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.001, momentum=0.9, nesterov=True, weight_decay=5e-4)
    samples = POOL_BATCHES * batch
    pool = make_inputs(samples)
    if pool.ndim == 4:
        pool = pool.to(memory_format=memory_format)
    inputs = pool[:batch]
    labels = torch.arange(batch) % classes

    def forward(x):
        with torch.inference_mode():
            logits, features = teacher(x)
            return logits, features[:, :64] if selective else None

    def train(x, said):
        logits, features = student(x)
        soft = TEMPERATURE**2 * F.kl_div(
            F.log_softmax(logits / TEMPERATURE, 1),
            F.log_softmax(said[0] / TEMPERATURE, 1),
            log_target=True,
            reduction="batchmean",
        )
        loss = ALPHA * F.cross_entropy(logits, labels) + (1 - ALPHA) * soft
        if selective:
            with torch.no_grad():
                target = variance(said[1])
            loss = loss + WEIGHT * (variance(features) - target).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        assert loss.isfinite().item()

    def ask(x):
        return [t if t is None else t.clone() for t in forward(x)]

    def whole():
        x = pool[torch.randperm(samples)[:batch]]
        train(x, ask(x))

    everything = [torch.cat(parts) if parts[0] is not None else None for parts in zip(*map(ask, pool.split(batch)))]

    def later():
        chosen = torch.randperm(samples)[:batch]
        train(pool[chosen], [t if t is None else t[chosen] for t in everything])

    said = ask(inputs)
    return {
        "teacher": lambda: forward(inputs),
        "student": lambda: train(inputs, said),
        "whole": whole,
        "kept": later,
    }


def profiled(run, count):
    """The dearest ops of a step: milliseconds in the op itself and calls, per step."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        for _ in range(count):
            run()
    ops = sorted(profiler.key_averages(), key=lambda op: -op.self_cpu_time_total)[:12]
    return [{"op": op.key, "ms": op.self_cpu_time_total / 1000 / count, "calls": op.count / count} for op in ops]


def main():
    name, threads = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(threads)
    parts = make_parts(name, torch.contiguous_format)
    if "--memory" in sys.argv:
        for _ in range(int(sys.argv[sys.argv.index("--memory") + 1])):
            parts["whole"]()
        print(json.dumps({"megabytes": peak_megabytes()}))
        return
    if name == "resnet":
        last = make_parts(name, torch.channels_last)
        parts |= {f"{part}/channels_last": run for part, run in last.items()}
    answer(parts.__getitem__, {"profile": lambda count: profiled(parts["student"], count)})


main()
