"""What the peers in PyTorch share: the protocol of bench/peer.ts, by the clock that bench/measure.ts has chosen."""
import json
import os
import re
import resource
import sys
import time
from pathlib import Path

import torch

clock = time.process_time if os.environ.get("ONNX_DISTILL_CLOCK") == "cpu" else time.perf_counter


def peak_megabytes():
    """As peakMegabytes in bench/measure.ts."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s*(\d+)", status.read_text()).group(1)) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def answer(part_named, others=None):
    """Says which PyTorch this is, then answers "<part> <count>" with the milliseconds of each repetition.

    part_named(name) is what is measured; others: by part, what answers by itself, given the count.
    """
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        part, count = line.split()
        if others and part in others:
            print(json.dumps(others[part](int(count))), flush=True)
            continue
        run, times = part_named(part), []
        for _ in range(int(count)):
            began = clock()
            run()
            times.append(1000 * (clock() - began))
        print(json.dumps(times), flush=True)
