"""bench/demo-ours.ts in PyTorch: python bench/peers/demo.py <threads> <epochs> [--cached]. One line of JSON.

The teacher has the demo teacher's form and random weights, which cost the same; it runs at every step, or, with --cached,
once over the training images. The loss is the demo's: WTTM, CKA one stage before the last, its weight falling, and selectivity,
where the variance stands for the demo's metric, which autograd can't differentiate.
"""
import json
import math
import resource
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[1] / "fashion-mnist"))
import torch_recipe as recipe  # noqa: E402

from answer import peak_megabytes  # noqa: E402

TEMPERATURE, TEACHER_WEIGHT, CKA_WEIGHT, SELECTIVITY_WEIGHT = 4.0, 3.0, 6.0, 0.3
# How many modules of the bodies lie before the end of the second stage.
TEACHER_MIDDLE, STUDENT_MIDDLE = 6, 4


def forward(network, middle, x):
    """Logits, the map at the end of the second stage, and the last."""
    inner = network.body[:middle](x)
    features = network.body[middle:](inner)
    return network.head(features.mean((2, 3))), inner, features


def similarity(x, y):
    return (x.T @ y).square().sum()


def centred(maps):
    rows = maps.permute(0, 2, 3, 1).flatten(0, 2)
    return rows - rows.mean(0)


def cka_loss(student, teacher):
    x, y = centred(student), centred(teacher)
    return 1 - similarity(x, y) / (similarity(x, x) * similarity(y, y)).sqrt()


def loss_of(got, said, labels, progress):
    logits, inner, features = got
    teacher_logits, teacher_inner, teacher_features = said
    powered = F.log_softmax(teacher_logits, 1) / TEMPERATURE
    soft = F.kl_div(F.log_softmax(logits, 1), powered.log_softmax(1), log_target=True, reduction="none").sum(1)
    soft = TEACHER_WEIGHT * (powered.exp().sum(1) * soft).mean()
    loss = recipe.ALPHA * F.cross_entropy(logits, labels) + (1 - recipe.ALPHA) * soft
    loss = loss + CKA_WEIGHT * 0.5 * (1 + math.cos(math.pi * progress)) * cka_loss(inner, teacher_inner)
    apart = recipe.variance(features) - recipe.variance(teacher_features)
    return loss + SELECTIVITY_WEIGHT * apart.square().mean()


DATA = Path(__file__).parents[2] / "assets" / "fashion-mnist"


def main():
    threads, epochs, cached = int(sys.argv[1]), int(sys.argv[2]), "--cached" in sys.argv
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    began = time.perf_counter()
    images, labels = recipe.load(DATA, "train")
    test = recipe.load(DATA, "t10k")
    teacher, student = recipe.make_teacher().eval(), recipe.make_student().train()

    def ask(x):
        with torch.inference_mode():
            return forward(teacher, TEACHER_MIDDLE, x)

    steps = len(images) // recipe.BATCH
    optimizer = torch.optim.SGD(
        student.parameters(), lr=recipe.LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=recipe.WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps * epochs)
    recipe.accuracy(teacher, *test)
    if cached:
        parts = [ask(x) for x in images.split(recipe.BATCH)]
        everything = [torch.cat(p).clone() for p in zip(*parts)]
    ends, used, first = [], [], None
    for epoch in range(epochs):
        student.train()
        order = torch.randperm(len(images))
        for i in range(steps):
            chosen = order[i * recipe.BATCH : (i + 1) * recipe.BATCH]
            x = images[chosen]
            said = [t[chosen] for t in everything] if cached else [t.clone() for t in ask(x)]
            got = forward(student, STUDENT_MIDDLE, x)
            loss = loss_of(got, said, labels[chosen], (epoch * steps + i) / (steps * epochs))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            first = first or time.perf_counter() - began
        recipe.accuracy(student, *test)
        ends.append(time.perf_counter() - began)
        used.append(time.process_time())
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "seconds": ends[-1],
                "firstStep": first,
                "perEpoch": (ends[-1] - ends[0]) / (len(ends) - 1),
                "cpu": usage.ru_utime + usage.ru_stime,
                "cpuPerEpoch": (used[-1] - used[0]) / (len(used) - 1),
                "megabytes": peak_megabytes(),
            }
        )
    )


main()
