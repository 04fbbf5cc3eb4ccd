"""The selectivity loss of bench/classes.ts and its gradient by PyTorch's autograd: answers "<rows>x<neurons>/<type> <count>"."""
import json
import os
import sys
import time

import torch

WEIGHT = 0.5
clock = time.process_time if os.environ.get("ONNX_DISTILL_CLOCK") == "cpu" else time.perf_counter


def make(part):
    size, dtype = part.split("/")
    rows, neurons = map(int, size.split("x"))
    i = torch.arange(rows * neurons, dtype=torch.float64).view(rows, neurons)
    fill = lambda phase: (torch.sin(0.37 * i + phase) + 0.2).clamp(min=0).to(getattr(torch, dtype))
    student, teacher = fill(0).requires_grad_(), fill(1)

    def run():
        student.grad = None
        target = teacher.var(0, unbiased=False)
        loss = WEIGHT * (student.var(0, unbiased=False) - target).square().mean()
        loss.backward()
        return loss.item() + student.grad[0, 0].item()

    return run


def main():
    torch.set_num_threads(int(sys.argv[1]))
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    parts = {}
    for line in sys.stdin:
        part, count = line.split()
        if part not in parts:
            parts[part] = make(part)
        run = parts[part]
        times = []
        for _ in range(int(count)):
            began = clock()
            run()
            times.append(1000 * (clock() - began))
        print(json.dumps(times), flush=True)


main()
