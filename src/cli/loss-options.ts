// The options of `train` that say what the loss is, as the parser sees them. What they make is strategy-options.ts's job.
import type { Command } from "commander";
import { SelectivityMetric } from "../strategies/selectivity-metric.ts";
import {
  selectivityDistances,
  selectivityMatches,
  selectivityOvers,
  selectivityTargets,
} from "../strategies/selectivity-words.ts";
import { choice, number, option, several } from "./parse.ts";

export function addLossOptions(command: Command): void {
  command.optionsGroup("Loss:");
  command
    .addOption(
      option(
        "--loss <loss>",
        "how outputs are compared: kd, standardized-kd, dkd, dist, wttm or ttm, with options after a colon, see below (default: kd)",
      ),
    )
    .addOption(
      option(
        "--strategy <module>",
        "a .js or .mjs module whose default export is a strategy of your own, or a function that makes one; in place of --loss, or beside it if it compares taps alone",
      ),
    )
    .addOption(
      option(
        "--tap <tap>",
        "[name=]teacher[:student], two values that are compared (default student: the same name); may be repeated; auto: pairs are chosen by depth and resolution, as --intermediate, --metric and --selectivity-weight do by themselves (default: none)",
        several,
      ),
    )
    .addOption(
      option(
        "--project <tap>",
        "the name of a --tap whose student's neurons go through a learned linear projection to as many as the teacher's; it is left out of student.onnx; may be repeated",
        several,
      ),
    )
    .addOption(
      option(
        "--intermediate <loss>",
        "how the taps are compared: selectivity, nst, cka, sp, at, hint, correlation or statistics, with options after a colon, see below; may be repeated (default: selectivity with an option of it, such as --metric; otherwise cka:weight=6,decay=cosine)",
        several,
      ),
    )
    .addOption(
      choice(
        "--metric <metric>",
        "how a neuron's selectivity is scored (default: variance)",
        Object.values(SelectivityMetric),
      ),
    )
    .addOption(
      choice(
        "--over <samples>",
        "what a score is taken over: every position of every sample, samples (their positions averaged), or the positions of each sample (default: samples-and-positions)",
        selectivityOvers,
      ),
    )
    .addOption(
      choice(
        "--match <way>",
        "which neuron's score is compared with which: the same index's, the same rank's, or that of the one that answers most like it; the latter two match unequal numbers of neurons (default: index)",
        selectivityMatches,
      ),
    )
    .addOption(
      choice(
        "--target <scores>",
        "the teacher's scores: of the same batch, or of the whole training set, measured once (default: batch)",
        selectivityTargets,
      ),
    )
    .addOption(
      choice(
        "--distance <name>",
        "how two scores are compared; relative: squared, over the mean square of the teacher's (default: squared)",
        selectivityDistances,
      ),
    )
    .addOption(
      option(
        "--selectivity-momentum <x>",
        "of the running mean over batches that the student's scores are taken from, 0 to less than 1; 0: each batch by itself (default: 0)",
        number({ least: 0, below: 1 }),
      ),
    )
    .addOption(
      option(
        "--selectivity-weight <x>",
        "weight of the selectivity loss of each tap (default: 0.5)",
        number({ least: 0 }),
      ),
    )
    .addOption(
      option(
        "--temperature <x>",
        "what logits are divided by before teacher and student are compared (default: that of --loss, 3 for kd)",
        number({ above: 0 }),
      ),
    )
    .addOption(
      option(
        "--alpha <x>",
        "weight of the labels against the teacher, 0 to 1; 0 needs no labels (default: 0.3)",
        number({ least: 0, most: 1 }),
      ),
    );
}
