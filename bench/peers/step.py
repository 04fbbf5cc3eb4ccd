"""The step of bench/workload.ts in PyTorch, as a peer: answers "<part> <count>" with milliseconds per repetition.

Parts: teacher, student, whole; each also with "/channels_last". Loss and optimizer as in the workload. Started by
bench/peer.ts; first line out says which PyTorch this is.
"""
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

BATCH, CHANNELS, SIZE, CLASSES = 64, 3, 32, 10
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
        body, before = [conv_bn(CHANNELS, widths[0], 3, 1), nn.ReLU()], widths[0]
        for stage, width in enumerate(widths):
            for i in range(blocks):
                body.append(Block(before, width, 2 if stage > 0 and i == 0 else 1))
                before = width
        self.body, self.head = nn.Sequential(*body), nn.Linear(before, CLASSES)

    def forward(self, x):
        features = self.body(x)
        return self.head(features.mean((2, 3))), features


def variance(x):
    return x.var((0, 2, 3), unbiased=False)


def make_parts(memory_format):
    torch.manual_seed(0)
    teacher = ResNet([32, 64, 128], 3).to(memory_format=memory_format).eval()
    student = ResNet([16, 32, 64], 1).to(memory_format=memory_format).train()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    images = torch.randn(BATCH, CHANNELS, SIZE, SIZE).to(memory_format=memory_format)
    labels = torch.arange(BATCH) % CLASSES

    def forward():
        with torch.inference_mode():
            logits, features = teacher(images)
            return logits, features[:, :64]

    def train(said):
        with torch.no_grad():
            target = variance(said[1])
        logits, features = student(images)
        soft = TEMPERATURE**2 * F.kl_div(
            F.log_softmax(logits / TEMPERATURE, 1),
            F.log_softmax(said[0] / TEMPERATURE, 1),
            log_target=True,
            reduction="batchmean",
        )
        loss = ALPHA * F.cross_entropy(logits, labels) + (1 - ALPHA) * soft
        loss = loss + WEIGHT * (variance(features) - target).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        assert loss.isfinite().item()

    with torch.no_grad():
        logits, features = teacher(images)
    said = logits.clone(), features[:, :64].clone()
    return {"teacher": forward, "student": lambda: train(said), "whole": lambda: train([t.clone() for t in forward()])}


def main():
    torch.set_num_threads(int(sys.argv[1]))
    parts = make_parts(torch.contiguous_format)
    parts |= {f"{name}/channels_last": part for name, part in make_parts(torch.channels_last).items()}
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        name, count = line.split()
        times = []
        for _ in range(int(count)):
            began = time.perf_counter()
            parts[name]()
            times.append(1000 * (time.perf_counter() - began))
        print(json.dumps(times), flush=True)


main()
