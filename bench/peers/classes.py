"""The selectivity loss of bench/classes.ts and its gradient by PyTorch's autograd: answers "<rows>x<neurons>/<type> <count>"."""
import functools
import sys

import torch

from answer import answer

WEIGHT = 0.5


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
    answer(functools.cache(make))


main()
