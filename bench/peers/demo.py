"""bench/demo-ours.ts in PyTorch: python bench/peers/demo.py <threads> <epochs> [--cached]. One line of JSON.

The teacher has the demo teacher's form and random weights, which cost the same; it runs at every step, or, with --cached,
once over the training images. The variance stands for the demo's metric, which autograd can't differentiate.
"""
import json
import resource
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "fashion-mnist"))
import torch_recipe as recipe  # noqa: E402

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
            logits, features = teacher(x)
            return logits, features

    steps = len(images) // recipe.BATCH
    optimizer = torch.optim.SGD(
        student.parameters(), lr=recipe.LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=recipe.WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps * epochs)
    recipe.accuracy(teacher, *test)
    if cached:
        parts = [ask(x) for x in images.split(recipe.BATCH)]
        logits, features = (torch.cat(p).clone() for p in zip(*parts))
    ends, used, first = [], [], None
    for _ in range(epochs):
        student.train()
        order = torch.randperm(len(images))
        for i in range(steps):
            chosen = order[i * recipe.BATCH : (i + 1) * recipe.BATCH]
            x = images[chosen]
            said = (logits[chosen], features[chosen]) if cached else [t.clone() for t in ask(x)]
            got = student(x)
            loss = recipe.loss_of("kd+variance", *got, labels[chosen], *said)
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
                "megabytes": usage.ru_maxrss / 1024,
            }
        )
    )


main()
