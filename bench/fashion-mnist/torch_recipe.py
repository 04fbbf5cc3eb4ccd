"""The recipe of recipe.ts in PyTorch: students on full Fashion-MNIST from labels, distilled, and with selectivity.

    python bench/fashion-mnist/torch_recipe.py --teacher-outputs <folder> [--data <folder>] [--seeds 0,1,2] [--epochs 3]
        [--kinds labels,kd,kd+variance] [--limit <training images>] [--out torch.json] [--threads 2]
    python bench/fashion-mnist/torch_recipe.py --teacher [--epochs 8]

The folder holds logits.npy and features.npy as ours.ts --save-teacher writes them, so that both sides distil from the same
teacher. With --teacher the teacher is trained in PyTorch instead, from labels with random flips, and measured.
Accuracy is that of the last step on the full test set. Needs torch and numpy.
"""
import argparse
import gzip
import json
import platform
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

MEAN, STD = 0.286, 0.353
BATCH, LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 128, 0.1, 0.9, 5e-4
TEMPERATURE, ALPHA, SELECTIVITY_WEIGHT = 3.0, 0.3, 0.5


def read_idx(path):
    path = path if path.exists() else path.with_name(path.name + ".gz")
    data = (gzip.open if path.suffix == ".gz" else open)(path, "rb").read()
    rank = data[3]
    dims = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(dims).copy())


def load(folder, part):
    images = read_idx(folder / f"{part}-images-idx3-ubyte").float().div_(255).sub_(MEAN).div_(STD)
    return images.unsqueeze(1), read_idx(folder / f"{part}-labels-idx1-ubyte").long()


def conv_bn(inputs, outputs, kernel=3, stride=1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first, self.second = conv_bn(inputs, outputs, 3, stride), conv_bn(outputs, outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, 1, stride)

    def forward(self, x):
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


class Network(nn.Module):
    """Logits, and the map before the global average."""

    def __init__(self, body, width):
        super().__init__()
        self.body, self.head = body, nn.Linear(width, 10)

    def forward(self, x):
        features = self.body(x)
        return self.head(features.mean((2, 3))), features


def make_teacher():
    widths, blocks, body, before = [16, 32, 64], 2, [conv_bn(1, 16), nn.ReLU()], 16
    for stage, width in enumerate(widths):
        for i in range(blocks):
            body.append(Block(before, width, 2 if stage > 0 and i == 0 else 1))
            before = width
    return Network(nn.Sequential(*body), before)


def make_student():
    layers = [conv_bn(1, 8), nn.ReLU(), conv_bn(8, 16, stride=2), nn.ReLU(), conv_bn(16, 64, stride=2), nn.ReLU()]
    return Network(nn.Sequential(*layers), 64)


def variance(features):
    """[N, C, H, W] -> one variance per channel over N·H·W samples."""
    return features.var((0, 2, 3), unbiased=False)


def loss_of(kind, logits, features, labels, teacher_logits, teacher_features):
    hard = F.cross_entropy(logits, labels)
    if kind == "labels":
        return hard
    soft = TEMPERATURE**2 * F.kl_div(
        F.log_softmax(logits / TEMPERATURE, 1),
        F.log_softmax(teacher_logits / TEMPERATURE, 1),
        log_target=True,
        reduction="batchmean",
    )
    loss = ALPHA * hard + (1 - ALPHA) * soft
    if kind == "kd+variance":
        loss = loss + SELECTIVITY_WEIGHT * (variance(features) - variance(teacher_features)).square().mean()
    return loss


def train(model, images, labels, kind, epochs, seed, said=None, flips=False):
    generator = torch.Generator().manual_seed(seed)
    steps = len(images) // BATCH * epochs
    optimizer = torch.optim.SGD(
        model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, nesterov=True, weight_decay=WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        for i in range(len(images) // BATCH):
            chosen = order[i * BATCH : (i + 1) * BATCH]
            x = images[chosen]
            if flips:
                mirrored = torch.rand(BATCH, generator=generator) < 0.5
                x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
            logits, features = model(x)
            teacher_logits = teacher_features = None
            if kind != "labels":
                teacher_logits = torch.from_numpy(said["logits"][chosen.numpy()])
            if kind == "kd+variance":
                teacher_features = torch.from_numpy(said["features"][chosen.numpy()])
            loss = loss_of(kind, logits, features, labels[chosen], teacher_logits, teacher_features)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()


@torch.no_grad()
def accuracy(model, images, labels):
    model.eval()
    found = torch.cat([model(x)[0].argmax(1) for x in images.split(250)])
    return (found == labels).double().mean().item()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    p.add_argument("--teacher", action="store_true")
    p.add_argument("--teacher-outputs", type=Path)
    p.add_argument("--seeds", default="0,1,2")
    p.add_argument("--kinds", default="labels,kd,kd+variance")
    p.add_argument("--epochs", type=int)
    p.add_argument("--limit", type=int)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--out", type=Path)
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    images, labels = load(o.data, "train")
    images, labels = images[: o.limit], labels[: o.limit]
    test = load(o.data, "t10k")
    kinds = ["teacher"] if o.teacher else o.kinds.split(",")
    epochs = o.epochs or (8 if o.teacher else 3)
    said = {}
    if any(k.startswith("kd") for k in kinds):
        if not o.teacher_outputs:
            p.error("kd needs --teacher-outputs, the folder that ours.ts --save-teacher wrote")
        for name in ["logits"] + (["features"] if "kd+variance" in kinds else []):
            said[name] = np.load(o.teacher_outputs / f"{name}.npy", mmap_mode="r")
            if len(said[name]) != len(images):
                p.error(f"{name}.npy has {len(said[name])} samples, the training set {len(images)}")
    rows = []
    for seed in map(int, o.seeds.split(",")):
        for kind in kinds:
            torch.manual_seed(seed)
            model = make_teacher() if kind == "teacher" else make_student()
            began = time.perf_counter()
            as_loss = "labels" if kind == "teacher" else kind
            train(model, images, labels, as_loss, epochs, seed, said, flips=kind == "teacher")
            seconds = time.perf_counter() - began
            top1 = accuracy(model, *test)
            rows.append({"kind": kind, "seed": seed, "top1": top1, "seconds": seconds})
            print(f"{kind}, seed {seed}: {100 * top1:.2f} %, {seconds:.0f} s", flush=True)
    means = {k: float(np.mean([r["top1"] for r in rows if r["kind"] == k])) for k in kinds}
    for kind, mean in means.items():
        print(f"{kind}: mean {100 * mean:.2f} %")
    if o.out:
        machine = {"cpu": platform.processor(), "threads": o.threads, "python": platform.python_version()}
        result = {
            "side": "PyTorch",
            "torch": torch.__version__,
            "machine": machine,
            "trainingImages": len(images),
            "epochs": epochs,
            "means": means,
            "rows": rows,
        }
        o.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
