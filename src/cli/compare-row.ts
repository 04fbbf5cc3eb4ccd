// A row of a comparison, from text: its name, and the options that it has beside those of all rows.
import { Command, CommanderError } from "commander";
import parseArgs from "string-argv";
import { DistillError } from "../base/errors.ts";
import { flagsOfTeacher, flagUses } from "./flag-uses.ts";
import { addTrainingOptions } from "./train-command.ts";
import { asTyped, flagOf, type TrainFlags } from "./train-options.ts";

/** One way of training: a name, and the options that it has beside those of all rows. */
export interface Row {
  readonly name: string;
  readonly flags: TrainFlags;
}

/** `name: options` -> the row. Its options come after the shared ones, so that they count. */
export function parseRow(text: string, shared: TrainFlags): Row {
  const at = text.indexOf(":");
  const name = (at < 0 ? text : text.slice(0, at)).trim();
  if (name === "") throw new DistillError("E_OPTION", `--row '${text}' has no name; write name: options`);
  const words = at < 0 ? [] : parseArgs(text.slice(at + 1));
  const alone = words.includes("--no-teacher");
  const own = parseFlags(
    name,
    words.filter((w) => w !== "--no-teacher"),
  );
  const flags = alone ? { ...withoutTeacher(shared), ...own } : { ...shared, ...own };
  if (alone && own.teacher !== undefined)
    throw new DistillError(
      "E_OPTION",
      `--row '${name}': --no-teacher and --teacher ${own.teacher} contradict each other; give one of them`,
    );
  if (flags.teacher === undefined)
    for (const key of flagsOfTeacher)
      if (flags[key] !== undefined)
        throw new DistillError(
          "E_OPTION",
          `--row '${name}': ${flagOf(key)} needs a teacher${alone ? "" : ", or --no-teacher in the row"}`,
        );
  return { name, flags };
}

function parseFlags(name: string, words: readonly string[]): TrainFlags {
  const command = new Command("row")
    .exitOverride()
    .helpOption(false)
    .allowExcessArguments(true)
    .configureOutput({ writeErr: () => {}, outputError: () => {} });
  addTrainingOptions(command);
  try {
    command.parse([...words], { from: "user" });
    if (command.args.length > 0)
      throw new DistillError(
        "E_OPTION",
        `--row '${name}': "${command.args[0]}" is no option; options begin with --`,
      );
    return asTyped(command.opts<TrainFlags>());
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const line = error.message
      .replace(/^error: /, "")
      .replace(/\n\(Did you mean ([^\n]*)\?\)/, ". Did you mean $1?");
    throw new DistillError("E_OPTION", `--row '${name}': ${line}`);
  }
}

/** What the rows share about a teacher is left out. */
function withoutTeacher(flags: TrainFlags): TrainFlags {
  return Object.fromEntries(
    Object.entries(flags).filter(([key]) => flagUses[key as keyof TrainFlags] !== "teacher"),
  );
}
