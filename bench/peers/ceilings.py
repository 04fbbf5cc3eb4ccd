"""The plain work of bench/ceilings.ts in PyTorch: answers "<part> <count>" with milliseconds per repetition."""
import sys

import torch
import torch.nn.functional as F

from answer import answer

torch.set_num_threads(int(sys.argv[1]))
a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
x, w = torch.rand(64, 64, 32, 32), torch.rand(64, 64, 3, 3)
source, target = torch.ones(1 << 24), torch.empty(1 << 24)


def copy():
    torch.set_num_threads(1)
    target.copy_(source)
    torch.set_num_threads(int(sys.argv[1]))


parts = {
    "matmul": lambda: (a @ b).max().item(),
    "conv": lambda: F.conv2d(x, w, padding=1).max().item(),
    "copy": copy,
}
with torch.inference_mode():
    answer(parts.__getitem__)
