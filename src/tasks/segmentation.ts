// One class for each position of an image or a volume: logits [N, C, H, W] or [N, C, D, H, W], labels without the classes.
import { categoricalTask } from "./categorical.ts";
import type { Task, TaskOptions } from "./task.ts";
import { DEFAULT_IGNORE_INDEX } from "./tokens.ts";

export function segmentation({ ignoreIndex = DEFAULT_IGNORE_INDEX }: TaskOptions): Task {
  return categoricalTask({
    name: "segmentation",
    rows: "pixels",
    logits: "[N, C, H, W]",
    labels: "[N, H, W] class indices",
    ranks: [4, 5],
    ignoreIndex,
    confusion: true,
    metrics: ["meanIoU", "pixelAccuracy", "loss", "agreement"],
    monitors: ["meanIoU", "pixelAccuracy", "agreement"],
    metricsOf: (s) => {
      const iou = s.confusion && meanIoU(s.confusion);
      return {
        ...(iou !== undefined && { meanIoU: iou }),
        ...(s.labelled > 0 && { pixelAccuracy: s.first / s.labelled, loss: s.loss / s.labelled }),
        ...(s.compared > 0 && { agreement: s.agreed / s.compared }),
      };
    },
  });
}

/** Mean over the classes that occur, in truth or prediction, of right / (true + predicted − right). */
function meanIoU(confusion: readonly (readonly number[])[]): number | undefined {
  const classes = confusion.map((row, i) => {
    const right = row[i] as number;
    const truly = row.reduce((a, n) => a + n, 0);
    const predicted = confusion.reduce((a, other) => a + (other[i] as number), 0);
    const union = truly + predicted - right;
    return union === 0 ? undefined : right / union;
  });
  const found = classes.filter((iou) => iou !== undefined);
  return found.length === 0 ? undefined : found.reduce((a, iou) => a + iou, 0) / found.length;
}
