// The command train as the parser sees it: options, help. What the options mean for a run is train-options.ts's job.
import type { Command } from "commander";
import { optimizerNames } from "../optim/index.ts";
import { scheduleNames } from "../optim/schedules.ts";
import { weightInits } from "../prepare/weight-init.ts";
import { metricKeys } from "../tasks/metrics.ts";
import { cachePlaces, cacheTypes } from "../train/cache-places.ts";
import { keptStudents } from "../train/kept-students.ts";
import { fixOption } from "./fix-option.ts";
import { intermediateHelp } from "./intermediate-losses.ts";
import { addLossOptions } from "./loss-options.ts";
import { axisOptions, givesOptions } from "./output-flags.ts";
import { outputHelp } from "./output-losses.ts";
import { paddingRow } from "./padding-row-option.ts";
import { lrFor, noDecayPatterns, weightDecayFor } from "./parameter-group-option.ts";
import { choice, dataOptions, jsonOption, number, option, several, threadsOption, whole } from "./parse.ts";
import type { RunBody } from "./program.ts";
import { taskOptions } from "./task-option.ts";

export function addTrain(program: Command, run: RunBody): void {
  const command = program
    .command("train")
    .summary("distil a teacher into a student, or train a student from labels")
    .description(
      "Trains a student to match a teacher; without --teacher, from labels alone. Writes a run folder with student.onnx (the best by --monitor, or the last: --keep), report.html, run.json, metrics.jsonl and checkpoints. Ctrl-C saves a checkpoint; --resume continues to the same bits.",
    );

  addTrainingOptions(command);

  command.optionsGroup("Run:");
  command
    .addOption(option("--out <folder>", "the run folder; one that holds a run already is refused"))
    .option(
      "--resume",
      "continue the run in --out; its options are known, those given again must be the same, but for --epochs: more of them carry on a run that is finished too",
    )
    .addOption(
      option(
        "--checkpoint-every <n>",
        "steps between checkpoints, besides the one after each epoch (default: none)",
        whole(1),
      ),
    )
    .addOption(option("--log-every <n>", "steps between lines in metrics.jsonl (default: 10)", whole(1)))
    .addOption(
      choice(
        "--monitor <metric>",
        "what makes a student the best, of the task's metrics (default: the first that can be measured: of a classification top1, without labels agreement)",
        metricKeys,
      ),
    )
    .addOption(jsonOption("print every event as one JSON object a line"));

  command
    .addHelpText("after", help)
    .action((flags) => run(async (io) => (await import("./train.ts")).trainCommand(flags, io)));
}

/** What a training computes: the options that `compare` has too, for all its rows and for each. */
export function addTrainingOptions(command: Command): void {
  command.optionsGroup("Models:");
  command
    .addOption(
      option(
        "--student <model>",
        "what is trained: an .onnx file, or a .js or .mjs module whose default export is an ONNX model (bytes or Model) or a function (seed) => model",
      ),
    )
    .addOption(option("--teacher <model>", "an .onnx file to learn from"))
    .addOption(
      option(
        "--student-logits <value>",
        "the student's value that holds the logits (default: its first output)",
      ),
    )
    .addOption(option("--teacher-logits <value>", "the same of the teacher (default: its first output)"))
    .addOption(
      option(
        "--class-map <map>",
        'the teacher\'s class of each of the student\'s, counted from 0, where they are not the same: 2,0 or with several taken together 2,0+4, or a file of them: JSON, [2, [0, 4]], one a line, or by names, {"teacher": [...], "student": [...]}',
      ),
    )
    .option(
      "--project-outputs",
      "compare outputs of another width (embeddings, task regression) through a learned linear projection of the student's, which is left out of student.onnx",
    )
    .addOption(fixOption("--fix", "an input of either model that is one value for all samples"))
    .addOption(fixOption("--student-fix", "the student's alone"))
    .addOption(fixOption("--teacher-fix", "the teacher's alone"));
  for (const o of [...givesOptions("student"), ...axisOptions("student"), ...taskOptions("train")])
    command.addOption(o);

  command.optionsGroup("Data:");
  for (const o of dataOptions(
    "what to train on: a folder with MNIST's file names (IDX, .gz or not) or x_train.npy, y_train.npy and the like, an .npz file (x_train, y_train, ...; for several inputs <input>_train each), or two files images,labels (IDX, .npy, .npz)",
  ))
    command.addOption(o);
  command
    .addOption(
      option(
        "--eval-data <path>",
        "what to evaluate on after each epoch (default: the test part of --data, if it has one)",
      ),
    )
    .option("--flip", "mirror images left to right at random")
    .addOption(option("--crop <px>", "shift images by up to so many pixels at random (default: 0)", whole(0)))
    .addOption(
      option(
        "--variants <n>",
        "versions of each augmented image, in turn by epoch, so that the teacher's outputs can be kept (default: another in each epoch)",
        whole(1),
      ),
    );

  addLossOptions(command);

  command.optionsGroup("Training:");
  command
    .addOption(option("--epochs <n>", "passes over the data (default: 10)", whole(1)))
    .addOption(option("--batch <n>", "samples per step (default: 128)", whole(1)))
    .addOption(
      option("--accumulate <n>", "batches whose gradients are added up for one step (default: 1)", whole(1)),
    )
    .addOption(choice("--optimizer <name>", "what turns gradients into steps (default: sgd)", optimizerNames))
    .addOption(
      option("--lr <x>", "learning rate (default: 0.1 for sgd, 0.001 for adamw)", number({ least: 0 })),
    )
    .addOption(
      choice("--schedule <name>", "how the learning rate falls (default: cosine, to 0)", scheduleNames),
    )
    .addOption(
      option("--warmup <n>", "steps over which the learning rate rises first (default: 0)", whole(0)),
    )
    .addOption(option("--momentum <x>", "of sgd (default: 0.9)", number({ least: 0 })))
    .option("--no-nesterov", "plain momentum (default: Nesterov's)")
    .addOption(
      option(
        "--weight-decay <x>",
        "pull of the weights towards 0 (default: 0.0005 for sgd, 0.01 for adamw)",
        number({ least: 0 }),
      ),
    )
    .addOption(
      option(
        "--no-decay [weights]",
        "what weight decay spares: auto, or nothing more said: biases, normalisations and other vectors; none: nothing is spared; or a pattern, * for any characters, may be repeated (default: auto for adamw, none for sgd)",
        noDecayPatterns,
      ),
    )
    .addOption(
      option(
        "--weight-decay-for <p=x>",
        "another weight decay for weights by name, pattern=x, * for any characters; may be repeated",
        weightDecayFor,
      ),
    )
    .addOption(
      option(
        "--lr-for <p=x>",
        "another learning rate for weights by name, pattern=x: head.*=0.01, or as a multiple, backbone.*=0.1x; may be repeated",
        lrFor,
      ),
    )
    .addOption(
      option(
        "--clip-norm <x>",
        "largest L2 norm of all gradients together (default: no limit)",
        number({ above: 0 }),
      ),
    )
    .addOption(
      option(
        "--average-weights <d>",
        "evaluate and keep a moving average of the weights with this decay: 0.999, say (default: none)",
        number({ above: 0, below: 1 }),
      ),
    )
    .addOption(
      option(
        "--class-weights <w>",
        "how much each class counts in the loss on labels: numbers with commas between them, a file of them (JSON or text), or balanced: the rarer, the more (default: alike)",
      ),
    )
    .addOption(
      option(
        "--freeze <pattern>",
        "weights that stay as they are, * for any characters; may be repeated",
        several,
      ),
    )
    .addOption(
      option(
        "--train <pattern>",
        "constants that are trained although they were not taken for learned ones (inspect lists them); may be repeated",
        several,
      ),
    )
    .addOption(
      option(
        "--untie <pattern>",
        "weights that train apart although they are tied or shared; may be repeated",
        several,
      ),
    )
    .addOption(
      option(
        "--padding-row <t=row>",
        "a row of an embedding's table that is not learned by being looked up (padding_idx), table=row, * for any characters: embed.weight=0; may be repeated",
        paddingRow,
      ),
    )
    .addOption(
      choice(
        "--init <how>",
        "keep: the student's weights as they are; otherwise fresh ones, except for frozen ones (default: keep)",
        weightInits,
      ),
    )
    .option(
      "--insert-batchnorm",
      "train with a BatchNormalization after each convolution, and fold it into the convolution's weights in student.onnx",
    )
    .addOption(
      choice(
        "--batch-norm <mode>",
        "train: statistics of the batch, running ones updated; frozen: running ones as they are (default: train)",
        ["train", "frozen"],
      ),
    )
    .addOption(
      option(
        "--patience <n>",
        "end the run after so many evaluations in a row without a gain in --monitor (default: never)",
        whole(1),
      ),
    )
    .addOption(
      option(
        "--min-delta <x>",
        "of --patience: the least gain that counts (default: any)",
        number({ least: 0 }),
      ),
    )
    .addOption(
      choice(
        "--keep <which>",
        "the student that the run ends with: the best by --monitor, or the last (default: best)",
        keptStudents,
      ),
    )
    .addOption(
      option(
        "--seed <n>",
        "of order, augmentation, dropout, fresh weights, and of a student made by a module (default: 0)",
        whole(0),
      ),
    )
    .addOption(threadsOption());

  command.optionsGroup("Teacher's outputs, where they repeat:");
  command
    .addOption(
      choice(
        "--teacher-cache <place>",
        "where they are kept: memory, disk (a file that is gone after the run), off (the teacher runs at every step), auto: memory up to 2 GiB, then disk (default: auto)",
        cachePlaces,
      ),
    )
    .addOption(
      choice(
        "--teacher-cache-type <type>",
        "float16 takes half the room, rounded (default: float32)",
        cacheTypes,
      ),
    );
}

const help = `
Taps: names of ONNX values may hold "=" and ":" themselves. The text is read in every way that it allows, and the first
way in which both models have their value counts: first as one name for both, then split at each "=" from the left and
at each ":" from the right. "onnx-distill inspect" lists the values.
${outputHelp()}${intermediateHelp()}
Examples:
  onnx-distill train --teacher teacher.onnx --student student.onnx --data mnist/ --out runs/a
  onnx-distill train --teacher teacher.onnx --student student.mjs --data data.npz --mean 0.5 --std 0.25 \\
    --tap features=/layer3/relu:/stage3/relu --metric variance --selectivity-weight 0.1 --epochs 20 --out runs/b
  onnx-distill train --teacher teacher.onnx --student student.onnx --data mnist/ --tap early=/layer1/relu:/stage1/relu \\
    --tap late=/layer3/relu:/stage3/relu --intermediate at:tap=early --intermediate cka:weight=3,tap=late --out runs/c
  onnx-distill train --teacher bert.onnx --student small.onnx --data tokens.npz --task token-classification --out runs/d
  onnx-distill train --teacher teacher.onnx --student student.onnx --data mnist/ --loss dkd:non-target-weight=4 --tap features \\
    --intermediate nst:warmup=1,decay=cosine --out runs/e
  onnx-distill train --student student.onnx --data mnist/ --optimizer adamw --lr 0.002 --out runs/labels
  onnx-distill train --resume --out runs/a`;
