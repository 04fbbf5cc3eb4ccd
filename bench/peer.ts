// A peer: a child process that answers "<part> <count>" on a line with the milliseconds of each
// repetition as JSON.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Side } from "./measure.ts";

const python = (): string => process.env.ONNX_DISTILL_PYTHON ?? "python3";
const hasTorch = (): boolean => spawnSync(python(), ["-c", "import torch"], { stdio: "ignore" }).status === 0;
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Runs a peer that is one process from beginning to end; the JSON that it prints. undefined without PyTorch. */
export function runPython(script: string, args: readonly string[]): Record<string, number> | undefined {
  return hasTorch() ? answerOf(python(), [here(`./peers/${script}`), ...args]) : undefined;
}

/** The same of a script of ours. */
export function runScript(script: string, args: readonly string[]): Record<string, number> {
  return answerOf(process.execPath, ["--import", "tsx", here(`./${script}`), ...args]);
}

function answerOf(program: string, args: readonly string[]): Record<string, number> {
  const { status, stdout } = spawnSync(program, args, {
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
    cwd: here(".."),
  });
  if (status !== 0) throw new Error(`${args[0]} failed`);
  return JSON.parse(stdout.trim().split("\n").at(-1) as string) as Record<string, number>;
}

export class Peer {
  readonly about: Readonly<Record<string, unknown>>;
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  /** Python with torch, from ONNX_DISTILL_PYTHON or python3; undefined where there is none. */
  static async python(script: string, args: readonly string[]): Promise<Peer | undefined> {
    if (!hasTorch()) return undefined;
    return Peer.#start(python(), [here(`./peers/${script}`), ...args]);
  }

  /** A peer in JavaScript; undefined where its package is not installed in bench/. */
  static async node(script: string, packageName: string, args: readonly string[]): Promise<Peer | undefined> {
    if (!existsSync(here(`./node_modules/${packageName}`))) return undefined;
    return Peer.#start(process.execPath, [here(`./peers/${script}`), ...args]);
  }

  static async #start(program: string, args: readonly string[]): Promise<Peer> {
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    const lines: Interface = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    const answers = lines[Symbol.asyncIterator]();
    const first = await answers.next();
    if (first.done) throw new Error(`${args[0]} ended before it was ready`);
    return new Peer(child, answers, JSON.parse(first.value) as Record<string, unknown>);
  }

  private constructor(
    child: ChildProcess,
    answers: AsyncIterator<string>,
    about: Readonly<Record<string, unknown>>,
  ) {
    this.#child = child;
    this.#answers = answers;
    this.about = about;
  }

  side(part: string): Side {
    return async (count) => (await this.ask(part, count)) as number[];
  }

  async ask(part: string, count: number): Promise<unknown> {
    this.#child.stdin?.write(`${part} ${count}\n`);
    const answer = await this.#answers.next();
    if (answer.done) throw new Error(`the peer ended while it measured ${part}`);
    return JSON.parse(answer.value);
  }

  close(): void {
    this.#child.stdin?.end();
  }
}
