// A peer in another language: a child process that answers "<part> <count>" on a line with the milliseconds of each
// repetition as JSON.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Side } from "./measure.ts";

export class Peer {
  readonly about: Readonly<Record<string, unknown>>;
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  /** Python with torch, from ONNX_DISTILL_PYTHON or python3; undefined where there is none. */
  static async python(script: string, args: readonly string[]): Promise<Peer | undefined> {
    const python = process.env.ONNX_DISTILL_PYTHON ?? "python3";
    if (spawnSync(python, ["-c", "import torch"], { stdio: "ignore" }).status !== 0) return undefined;
    const path = fileURLToPath(new URL(`./peers/${script}`, import.meta.url));
    const child = spawn(python, [path, ...args], { stdio: ["pipe", "pipe", "inherit"] });
    const lines: Interface = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    const answers = lines[Symbol.asyncIterator]();
    const first = await answers.next();
    if (first.done) throw new Error(`${script} ended before it was ready`);
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
    return async (count) => {
      this.#child.stdin?.write(`${part} ${count}\n`);
      const answer = await this.#answers.next();
      if (answer.done) throw new Error(`the peer ended while it measured ${part}`);
      return JSON.parse(answer.value) as number[];
    };
  }

  close(): void {
    this.#child.stdin?.end();
  }
}
