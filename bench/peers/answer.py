"""What the peers in PyTorch share: the protocol of bench/peer.ts, by the clock that bench/measure.ts has chosen."""
import json
import os
import sys
import time

import torch

clock = time.process_time if os.environ.get("ONNX_DISTILL_CLOCK") == "cpu" else time.perf_counter


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
