// The command compare as the parser sees it: options, help. What a row means is compare-row.ts's job.
import type { Command } from "commander";
import { metricKeys } from "../tasks/metrics.ts";
import { choice, jsonOption, number, option, several, whole } from "./parse.ts";
import type { RunBody } from "./program.ts";
import { addTrainingOptions } from "./train-command.ts";
import type { TrainFlags } from "./train-options.ts";

export interface CompareFlags extends TrainFlags {
  row?: string[];
  seeds?: number;
  firstSeed?: number;
  validation?: number;
}

export function addCompare(program: Command, run: RunBody): void {
  const command = program
    .command("compare")
    .summary("the same student trained in several ways, over several seeds, and whether they differ")
    .description(
      "Trains the same student in every row's way from every seed, and says what that shows: means with 95 % intervals, each row held to the first by a paired test over the seeds, in plain words. A part of the training data is held back: it chooses the best epoch of each run (--keep last: none) and the row; the test part is evaluated once, at each run's end. Writes compare.json, compare.md and compare.html. Ctrl-C saves; the same command with --resume goes on, also with more rows or seeds.",
    );
  command.optionsGroup("Comparison:");
  command
    .addOption(
      option(
        "--row <row>",
        'name: options, as in "KD: --temperature 4"; the options are those below, in addition to what all rows share, or --no-teacher for labels alone; may be repeated, the first row is what the others are held to',
        several,
      ),
    )
    .addOption(option("--seeds <n>", "runs of each row (default: 5)", whole(1)))
    .addOption(option("--first-seed <n>", "the seeds are this one and those after it (default: 0)", whole(0)))
    .addOption(
      option(
        "--validation <share>",
        "share of the training data that is held back to choose by, at random but the same in every run (default: 0.1)",
        number({ above: 0, most: 0.9 }),
      ),
    )
    .addOption(
      choice(
        "--monitor <metric>",
        "what is compared, of the task's metrics (default: the first that can be measured)",
        metricKeys,
      ),
    )
    .addOption(option("--out <folder>", "where everything is written"))
    .option("--resume", "go on with the comparison in --out")
    .addOption(jsonOption("print the result of every run, and the comparison, as one JSON object a line"));
  addTrainingOptions(command);
  command
    .addHelpText("after", help)
    .action((flags) => run(async (io) => (await import("./compare.ts")).compareCommand(flags, io)));
}

const help = `
Examples:
  onnx-distill compare --teacher teacher.onnx --student student.mjs --data mnist/ --epochs 10 --seeds 10 --out runs/compared \\
    --row "KD:" --row "labels alone: --no-teacher" --row "KD + variance: --tap features --metric variance"
  onnx-distill compare --resume --seeds 20 --out runs/compared ...`;
