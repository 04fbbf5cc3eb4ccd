"""The plain work of bench/ceilings.ts in PyTorch: answers "<part> <count>" with milliseconds per repetition."""
import json
import os
import sys
import time

import torch
import torch.nn.functional as F

clock = time.process_time if os.environ.get("ONNX_DISTILL_CLOCK") == "cpu" else time.perf_counter
torch.set_num_threads(int(sys.argv[1]))
print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
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
    for line in sys.stdin:
        part, count = line.split()
        times = []
        for _ in range(int(count)):
            began = clock()
            parts[part]()
            times.append(1000 * (clock() - began))
        print(json.dumps(times), flush=True)
