// The run folder: run.json, metrics.jsonl, checkpoints/step-N/, student.onnx. Every file appears whole or not at all:
// written under a temporary name, flushed, renamed.
import { createHash } from "node:crypto";
import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DistillError } from "../base/errors.ts";

export interface Counters {
  /** Steps done. */
  readonly step: number;
  readonly epoch: number;
  readonly stepInEpoch: number;
  readonly best?: number | undefined;
  readonly bestStep?: number | undefined;
  /** What `patience` counts from: the last gain worth one. */
  readonly gain?: { readonly value: number; readonly step: number } | undefined;
}

export interface Checkpoint extends Counters {
  readonly state: ReadonlyMap<string, Float32Array>;
}

interface CheckpointIndex extends Counters {
  readonly format: 1;
  readonly metricsBytes: number;
  readonly vectors: readonly { key: string; length: number }[];
  readonly sha256: string;
}

export class RunFolder {
  readonly path: string;

  /** Refuses a folder that holds a run already. */
  static refuse(path: string): void {
    if (existsSync(join(path, "run.json")))
      throw new DistillError(
        "E_RUN",
        `${path} holds a run already; continue it with --resume, or choose another --out`,
      );
  }

  /** A new run; refuses a folder that holds one already. */
  static create(path: string): RunFolder {
    RunFolder.refuse(path);
    guard(`make the run folder ${path}`, () => mkdirSync(join(path, "checkpoints"), { recursive: true }));
    return new RunFolder(path);
  }

  /** Removes the entries of a folder that `mine` recognises by name; others stay, and so does the folder. */
  static clear(path: string, mine: (name: string) => boolean): void {
    if (!existsSync(path)) return;
    guard(`clear ${path}`, () => {
      for (const name of readdirSync(path).filter(mine))
        rmSync(join(path, name), { recursive: true, force: true });
    });
  }

  /** A run to be continued. */
  static open(path: string): RunFolder {
    if (!existsSync(join(path, "run.json")))
      throw new DistillError(
        "E_RUN",
        `${path} holds no run to resume (no run.json); check the path, or leave --resume out to begin one`,
      );
    return new RunFolder(path);
  }

  private constructor(path: string) {
    this.path = path;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  writeJson(name: string, value: unknown): void {
    writeWhole(this.file(name), `${JSON.stringify(value, null, 2)}\n`);
  }

  readJson<T>(name: string): T {
    const path = this.file(name);
    try {
      return JSON.parse(readFileSync(path, "utf8")) as T;
    } catch (cause) {
      throw new DistillError(
        "E_RUN",
        `${path} cannot be read as JSON; the run folder is damaged: start a new run`,
        { cause },
      );
    }
  }

  write(name: string, bytes: Uint8Array): void {
    writeWhole(this.file(name), bytes);
  }

  /** Appends one line to metrics.jsonl. */
  log(entry: Record<string, unknown>): void {
    guard(`write ${this.file("metrics.jsonl")}`, () =>
      appendFileSync(this.file("metrics.jsonl"), toJson(entry)),
    );
  }

  /** Entries of metrics.jsonl; a torn last line is left out. */
  entries(): Record<string, unknown>[] {
    const path = this.file("metrics.jsonl");
    if (!existsSync(path)) return [];
    const lines = readFileSync(path, "utf8").split("\n");
    return lines.slice(0, -1).map(fromJson<Record<string, unknown>>);
  }

  saveCheckpoint({ state, ...counters }: Checkpoint, keep = 2): string {
    const name = `step-${counters.step}`;
    const path = join(this.path, "checkpoints", name);
    const temporary = `${path}.tmp`;
    guard(`save ${path}`, () => {
      rmSync(temporary, { recursive: true, force: true });
      mkdirSync(temporary, { recursive: true });
      const bytes = Buffer.concat(
        [...state.values()].map((v) => Buffer.from(v.buffer, v.byteOffset, v.byteLength)),
      );
      const metrics = this.file("metrics.jsonl");
      const index: CheckpointIndex = {
        format: 1,
        ...counters,
        metricsBytes: existsSync(metrics) ? statSync(metrics).size : 0,
        vectors: [...state].map(([key, v]) => ({ key, length: v.length })),
        sha256: createHash("sha256").update(bytes).digest("hex"),
      };
      try {
        writeFlushed(join(temporary, "state.bin"), bytes);
        writeFlushed(join(temporary, "state.json"), toJson(index, 2));
      } catch (cause) {
        rmSync(temporary, { recursive: true, force: true });
        throw cause;
      }
      rmSync(path, { recursive: true, force: true });
      renameSync(temporary, path);
      flushFolder(dirname(path));
      for (const old of this.#checkpoints().slice(0, -keep))
        rmSync(join(this.path, "checkpoints", `step-${old}`), { recursive: true, force: true });
    });
    return path;
  }

  /** The newest checkpoint that is whole; metrics.jsonl is cut back to where it was then. */
  loadCheckpoint(): Checkpoint | undefined {
    for (const step of this.#checkpoints().reverse()) {
      const folder = join(this.path, "checkpoints", `step-${step}`);
      try {
        const {
          vectors,
          metricsBytes,
          sha256,
          format: _,
          ...counters
        } = fromJson<CheckpointIndex>(readFileSync(join(folder, "state.json"), "utf8"));
        const bytes = readFileSync(join(folder, "state.bin"));
        if (createHash("sha256").update(bytes).digest("hex") !== sha256) continue;
        const all = new Float32Array(
          bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer,
        );
        const state = new Map<string, Float32Array>();
        let at = 0;
        for (const { key, length } of vectors) {
          state.set(key, all.subarray(at, at + length));
          at += length;
        }
        if (existsSync(this.file("metrics.jsonl"))) truncateSync(this.file("metrics.jsonl"), metricsBytes);
        return { ...counters, state };
      } catch {
        // A damaged checkpoint: the one before it will do.
      }
    }
    // The run begins anew, and so does its log.
    if (existsSync(this.file("metrics.jsonl"))) truncateSync(this.file("metrics.jsonl"), 0);
    return undefined;
  }

  #checkpoints(): number[] {
    const folder = join(this.path, "checkpoints");
    if (!existsSync(folder)) return [];
    return readdirSync(folder)
      .map((n) => /^step-(\d+)$/.exec(n)?.[1])
      .filter((n) => n !== undefined)
      .map(Number)
      .sort((a, b) => a - b);
  }
}

/** Numbers that JSON has none for (a loss of a class that was ruled out is infinite) by their names, not as null. */
const toJson = (value: unknown, indent?: number): string =>
  `${JSON.stringify(value, (_, v) => (typeof v === "number" && !Number.isFinite(v) ? String(v) : v), indent)}\n`;

const fromJson = <T>(text: string): T =>
  JSON.parse(text, (_, v) => (notFinite.includes(v) ? Number(v) : v)) as T;

const notFinite: readonly unknown[] = ["NaN", "Infinity", "-Infinity"];

/** Writes a file so that the old one, if any, stays until the new one is whole on the disk. */
export function writeWhole(path: string, content: Uint8Array | string): void {
  const temporary = `${path}.tmp-${process.pid}`;
  guard(`write ${path}`, () => {
    try {
      writeFlushed(temporary, content);
      renameSync(temporary, path);
    } catch (cause) {
      rmSync(temporary, { force: true });
      throw cause;
    }
    flushFolder(dirname(path));
  });
}

function writeFlushed(path: string, content: Uint8Array | string): void {
  const file = openSync(path, "w");
  try {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function flushFolder(path: string): void {
  // Windows cannot open folders; there a rename is durable enough.
  if (process.platform === "win32") return;
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

const reasons: Record<string, string> = {
  ENOSPC: "the disk is full; free some space",
  EROFS: "the disk is read-only; choose another --out",
  EACCES: "permission denied; choose another --out",
  EPERM: "not permitted; choose another --out",
  // What Node says of a folder on a read-only disk.
  ENOENT: "there is no such folder, or the disk is read-only; choose another --out",
  ENOTDIR: "a part of the path is a file; choose another --out",
  EEXIST: "a file of that name is in the way; choose another --out",
  EDQUOT: "the disk quota is used up; free some space",
};

function guard<T>(doing: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "";
    throw new DistillError("E_RUN", `cannot ${doing}: ${reasons[code] ?? (cause as Error).message}`, {
      cause,
    });
  }
}
