// Parsing, and how errors and help are told. Loads nothing heavy: what a command does is imported when it runs, so that
// --help and --version answer at once.
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { DistillError, type ErrorCode } from "../base/errors.ts";
import { addDemo, addEval, addInspect, addSelectivity } from "./commands.ts";
import { addCompare } from "./compare-command.ts";
import { type CliIo, exitCodes } from "./io.ts";
import { addTrain } from "./train-command.ts";

/** Runs the body of a command and keeps its exit code. */
export type RunBody = (body: (io: CliIo) => Promise<number>) => Promise<void>;

/** Errors that are about how the program was called. */
const usageErrors: readonly ErrorCode[] = ["E_OPTION", "E_ARGUMENT"];

/**
 * The program `onnx-distill` on `args` (without node and script). Returns the exit code: 0, 1 for a failure, 2 for a call
 * that is wrong in itself, 130 for an interrupted run. Never throws, never exits.
 */
export async function runCli(args: readonly string[], io: CliIo): Promise<number> {
  let code: number = exitCodes.ok;
  const program = createProgram(io, async (body) => {
    code = await body(io);
  });
  try {
    if (args.length === 0) {
      program.outputHelp({ error: true });
      return exitCodes.usage;
    }
    await program.parseAsync([...args], { from: "user" });
    return code;
  } catch (error) {
    // Commander has printed its own already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    return tell(error, io, program.opts<{ debug?: boolean }>().debug === true);
  }
}

/** One line, however many the message has; the stack and the causes only on demand. */
function tell(error: unknown, io: CliIo, debug: boolean): number {
  const message = error instanceof Error ? error.message : String(error);
  io.stderr.write(`error: ${message.replace(/\s*[\r\n]+\s*/g, " ").trim()}\n`);
  if (debug)
    for (let e: unknown = error; e instanceof Error; e = e.cause)
      io.stderr.write(`${e === error ? "" : "caused by: "}${e.stack ?? e.message}\n`);
  return error instanceof DistillError && usageErrors.includes(error.code)
    ? exitCodes.usage
    : exitCodes.failed;
}

function createProgram(io: CliIo, run: RunBody): Command {
  const width = Math.min(io.stderr.columns ?? 100, 100);
  const program = new Command("onnx-distill")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
      getOutHelpWidth: () => width,
      getErrHelpWidth: () => width,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      outputError: (text, write) => write(oneLine(text)),
    })
    .configureHelp({ showGlobalOptions: true })
    .description(
      "Distils an ONNX model into a smaller ONNX model. The training step is itself an ONNX graph that ONNX Runtime runs; beside the teacher's outputs the student learns how selective each of its neurons is.",
    )
    .version(version(), "--version", "print the version")
    .option("--debug", "with an error, also print its stack and its causes")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help of a command")
    .addHelpText("after", examples);
  addDemo(program, run);
  addTrain(program, run);
  addCompare(program, run);
  addEval(program, run);
  addInspect(program, run);
  addSelectivity(program, run);
  return program;
}

/** `error: unknown option '--epoch'. Did you mean --epochs?` */
function oneLine(text: string): string {
  return text.replace(/\.?\n\(Did you mean ([^\n]*)\?\)/, ". Did you mean $1?");
}

function version(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

const examples = `
Examples:
  onnx-distill demo
  onnx-distill inspect teacher.onnx
  onnx-distill train --teacher teacher.onnx --student student.onnx --data mnist/ --out runs/a
  onnx-distill eval runs/a/student.onnx --data mnist/ --teacher teacher.onnx
  onnx-distill selectivity teacher.onnx runs/a/student.onnx --data mnist/

Exit codes: 0 done, 1 failed, 2 called wrongly, 130 interrupted.`;
