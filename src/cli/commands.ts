// The commands eval, inspect, selectivity and demo as the parser sees them: arguments, options, help. (train has a file of its own.)
import type { Command } from "commander";
import { demoEpochs } from "./demo-epochs.ts";
import { fixOption } from "./fix-option.ts";
import { axisOptions, givesOptions } from "./output-flags.ts";
import { choice, dataOptions, jsonOption, option, several, sizes, threadsOption, whole } from "./parse.ts";
import type { RunBody } from "./program.ts";
import { taskOptions } from "./task-option.ts";

export function addEval(program: Command, run: RunBody): void {
  const command = program
    .command("eval")
    .summary("measure a model on labelled data")
    .description(
      "Measures a model by the metrics of its task (of a classification top-1 and top-5 accuracy, loss, and recall of each class), its time per sample, and how far it agrees with a teacher.",
    )
    .argument("<model>", "the .onnx file to measure");
  addData(
    command,
    "what to measure on: a folder with MNIST's file names (IDX, .gz or not), an .npz file, or two files images,labels (IDX, .npy, .npz)",
  );
  command
    .addOption(option("--teacher <model>", "an .onnx file: how far both agree is measured, too"))
    .addOption(
      option(
        "--batch <n>",
        "samples at a time (default: 128; a model made for a fixed batch: that)",
        whole(1),
      ),
    )
    .addOption(option("--logits <value>", "the value that holds the logits (default: the first output)"))
    .addOption(option("--teacher-logits <value>", "the same of the teacher (default: its first output)"))
    .addOption(
      option(
        "--class-map <map>",
        "the teacher's class of each of the model's, or a file of them, as in train",
      ),
    )
    .addOption(fixOption())
    .addOption(fixOption("--teacher-fix", "the teacher's alone"));
  for (const o of [...givesOptions("model"), ...axisOptions("model"), ...taskOptions("eval")])
    command.addOption(o);
  command
    .addOption(threadsOption())
    .addOption(jsonOption("print one JSON object instead of tables"))
    .addHelpText(
      "after",
      `
Examples:
  onnx-distill eval runs/a/student.onnx --data mnist/ --mean 0.286 --std 0.353
  onnx-distill eval student.onnx --data data.npz --split train --teacher teacher.onnx --json
  onnx-distill eval unet.onnx --data scenes.npz --task segmentation --ignore-index 255`,
    )
    .action((model: string, flags) =>
      run(async (io) => (await import("./eval.ts")).evalCommand(model, flags, io)),
    );
}

/** The options of data that a model is looked at on. */
function addData(command: Command, text: string): void {
  for (const o of dataOptions(text)) command.addOption(o);
  command.addOption(
    choice("--split <part>", "which part of the data (default: test where there is one, else all)", [
      "train",
      "test",
    ]),
  );
}

export function addInspect(program: Command, run: RunBody): void {
  program
    .command("inspect")
    .summary("show what is in a model, where to tap it, what can be trained")
    .description(
      "Shows inputs, outputs, opsets, parameters and layers of a model with their shapes, which values make good taps, and which ops can be differentiated. The shapes come from one run on made-up inputs.",
    )
    .argument("<model>", "the .onnx file; the teacher's, where a student follows")
    .argument("[student]", "a second .onnx file: shows which values of both would be compared, and how")
    .addOption(
      option(
        "--batch <n>",
        "samples in the run that shows the shapes (default: 2; a model made for a fixed batch: that)",
        whole(1),
      ),
    )
    .addOption(
      option(
        "--size <name=n>",
        "size of an input dimension that the model leaves open; may be repeated",
        sizes,
      ),
    )
    .addOption(fixOption())
    .addOption(fixOption("--student-fix", "the student's alone"))
    .addOption(fixOption("--teacher-fix", "the teacher's alone"))
    .option("--all", "print every layer and every possible tap; without it long lists are folded")
    .addOption(jsonOption("print one JSON object, with everything, instead of tables"))
    .addHelpText(
      "after",
      `
Examples:
  onnx-distill inspect teacher.onnx
  onnx-distill inspect detector.onnx --size height=64 --size width=256 --all
  onnx-distill inspect student.onnx --json
  onnx-distill inspect teacher.onnx student.onnx`,
    )
    .action((model: string, student: string | undefined, flags) =>
      run(async (io) => (await import("./inspect.ts")).inspectCommand(model, student, flags, io)),
    );
}

export function addSelectivity(program: Command, run: RunBody): void {
  const command = program
    .command("selectivity")
    .summary("show what each neuron of a model responds to")
    .description(
      "Shows what the neurons of a model respond to, as one page: histograms of every selectivity metric, the response to each class, dead and always-on neurons, and the inputs that excite single neurons most. With a student it also shows how far the student's neurons are from the model's. Goes over the data once and never holds all activations.",
    )
    .argument("<model>", "the .onnx file; with a student, its teacher")
    .argument("[student]", "an .onnx file to compare with it");
  addData(
    command,
    "what to respond to: a folder with MNIST's file names (IDX, .gz or not), an .npz file, or two files images,labels (IDX, .npy, .npz); labels are used where there are any, otherwise the model's predictions",
  );
  command
    .addOption(
      option(
        "--tap <[name=]value>",
        "a value whose neurons to look at; with a student [name=]value[:student's value]; may be repeated (default: auto, the good places that inspect marks)",
        several,
      ),
    )
    .addOption(
      option(
        "--neuron <tap:n>",
        "a neuron to look at closely; may be repeated (default: the 6 most selective of each tap, of different classes first)",
        several,
      ),
    )
    .addOption(
      option(
        "--samples <n>",
        "so many samples, chosen at random where there are more (default: 2000)",
        whole(2),
      ),
    )
    .addOption(option("--batch <n>", "samples at a time (default: 100)", whole(1)))
    .addOption(option("--seed <n>", "for the choice of samples (default: 1)", whole()))
    .addOption(
      option("--logits <value>", "the value that holds the model's logits (default: the first output)"),
    )
    .addOption(fixOption())
    .addOption(fixOption("--student-fix", "the student's alone"))
    .addOption(option("--out <page>", "where the page goes (default: selectivity.html; with --json none)"))
    .addOption(threadsOption())
    .addOption(jsonOption("print one JSON object instead of tables: all scores of all neurons"))
    .addHelpText(
      "after",
      `
Examples:
  onnx-distill selectivity teacher.onnx --data mnist/ --mean 0.286 --std 0.353
  onnx-distill selectivity teacher.onnx student.onnx --data mnist/ --tap features=/layer3/relu:/stage3/relu \\
    --neuron features:12 --out neurons.html
  onnx-distill selectivity model.onnx --data data.npz --json > neurons.json`,
    )
    .action((model: string, student: string | undefined, flags) =>
      run(async (io) => (await import("./selectivity.ts")).selectivityCommand(model, student, flags, io)),
    );
}

export function addDemo(program: Command, run: RunBody): void {
  program
    .command("demo")
    .summary("watch a Fashion-MNIST teacher being distilled; needs no download")
    .description(
      "Trains the same small student twice on a subset of Fashion-MNIST that comes with the package, once from labels alone and once distilled from a pretrained teacher, and shows the difference. Takes less than 3 minutes on 2 cores.",
    )
    .addOption(
      option(
        "--seeds <n>",
        "how many times, each from other weights and in another order (default: 1)",
        whole(1),
      ),
    )
    .addOption(option("--epochs <n>", `passes over the training images (default: ${demoEpochs})`, whole(1)))
    .addOption(option("--out <folder>", "where runs, student.onnx and report.html go (default: runs/demo)"))
    .option("--force", "begin anew in a folder that holds a demo already")
    .addOption(threadsOption())
    .addOption(
      jsonOption("print one JSON object a line: every event of both runs, and the comparison at the end"),
    )
    .addHelpText(
      "after",
      `
Examples:
  onnx-distill demo
  onnx-distill demo --seeds 3 --out runs/demo-3`,
    )
    .action((flags) => run(async (io) => (await import("./demo.ts")).demoCommand(flags, io)));
}
