// Run as a process of its own: reads the model in argv[2] and prints the most memory that the process had before and after,
// in MiB, as JSON. With argv[3] "left" its large files stay on disk, and it is observed, then loaded and run with a tap as a
// teacher is.
import { readFileSync } from "node:fs";
import { platform } from "node:os";
import { withOutputs } from "../../src/onnx/export-model.ts";
import { readModelFile } from "../../src/onnx/read-model-file.ts";
import { exampleFeeds } from "../../src/runtime/example-feeds.ts";
import { observe } from "../../src/runtime/observe.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { modelSize } from "../../src/train/model-figures.ts";

/** Linux counts what the process that spawned this one had into `maxRSS`, and not into the memory map's own peak. */
function peak(): number {
  const status = platform() === "linux" ? readFileSync("/proc/self/status", "utf8") : "";
  const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? process.resourceUsage().maxRSS;
  return Math.round(Number(kilobytes) / 1024);
}

const [path, left] = process.argv.slice(2) as [string, string];
const begun = peak();
const model = await readModelFile(path, left === "left" ? { leaveFrom: 2 ** 20 } : {});
const { parameters } = modelSize(model);
const read = peak();
let observed = read;
if (left === "left") {
  const feeds = exampleFeeds(model, 2);
  await observe(model, nodeRuntime, feeds);
  observed = peak();
  const session = await nodeRuntime.load(withOutputs(model, ["relu0"]), {
    externalData: model.externalFiles,
  });
  await session.run(feeds);
  await session.release();
}
console.log(JSON.stringify({ parameters, begun, read, observed, ran: peak() }));
