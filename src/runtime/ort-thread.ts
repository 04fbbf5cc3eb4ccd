// ONNX Runtime for Node in a worker thread (ort-node-worker.js), so that a run leaves the event loop free. Memory goes there
// and back and is not copied; ONNX Runtime refuses memory that threads share.
import type { Worker } from "node:worker_threads";
import type { Tensor, TypedArray } from "../base/tensor.ts";
import { type OrtSession, type OrtTensor, runtimeError } from "./ort-session.ts";
import { OwnTensor } from "./own-tensor.ts";

export type Request = { id: number } & Ask;

type Ask =
  | { kind: "load"; model: Uint8Array; options: object }
  | { kind: "run"; session: number; feeds: Sent; fetches: Sent<Tensor | null>; lent: readonly TypedArray[] }
  | { kind: "release"; session: number }
  | { kind: "end" };

type Sent<T = Tensor> = Record<string, T>;

export interface Reply {
  id: number;
  /** The arrays of the request's `lent`, in that order, whether or not it succeeded. */
  lent: readonly TypedArray[];
  loaded?: Pick<OrtSession, "inputMetadata" | "outputMetadata">;
  outputs?: Record<string, OrtTensor>;
  failed?: { message: string; doing?: string };
}

interface Waiting {
  resolve(reply: Reply): void;
  reject(cause: unknown): void;
}

export class OrtThread {
  readonly #name: string;
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  readonly #waiting = new Map<number, Waiting>();
  #asked = 0;
  #died: unknown;

  /** `name` stands in messages. Rejects where no worker can be started, or none with ONNX Runtime in it. */
  static async start(name: string): Promise<OrtThread> {
    const { Worker } = await import("node:worker_threads");
    // Without the flags of this process: a loader of TypeScript, say, would take longer to start than all the rest.
    const gate = new Int32Array(new SharedArrayBuffer(4)).fill(busy);
    const worker = new Worker(new URL("./ort-node-worker.js", import.meta.url), {
      workerData: gate.buffer,
      execArgv: [],
    });
    const thread = new OrtThread(name, worker, gate);
    await thread.#reply(0);
    return thread;
  }

  private constructor(name: string, worker: Worker, gate: Int32Array) {
    this.#name = name;
    this.#worker = worker;
    worker.unref();
    const close = () => closeGate(gate);
    process.once("exit", close);
    worker.on("message", (reply: Reply) => this.#settle(reply.id)?.resolve(reply));
    worker.on("error", (cause) => this.#die(cause));
    this.#ended = new Promise((resolve) => {
      worker.on("exit", (code) => {
        process.off("exit", close);
        this.#die(new Error(`the worker thread has ended with code ${code}`));
        resolve();
      });
    });
  }

  /** Loads a model into the thread; its bytes are taken over. */
  async load(model: Uint8Array, options: object): Promise<OrtSession> {
    const bytes = (isWhole(model) ? model : copied(model)) as Uint8Array;
    const { id, loaded } = await this.#ask({ kind: "load", model: bytes, options }, [bytes]);
    return {
      ...(loaded as NonNullable<Reply["loaded"]>),
      run: this.#runner(id),
      release: async () => {
        if (this.#died === undefined) await this.#ask({ kind: "release", session: id });
      },
    };
  }

  /** Ends the thread, and with it what is loaded there. */
  async release(): Promise<void> {
    if (this.#died === undefined) await this.#ask({ kind: "end" }).catch(() => {});
    this.#worker.ref();
    await this.#ended;
  }

  #runner(session: number) {
    /** Memory for copies of tensors that are not ours to give, by name; it has come back from the run before. */
    const spare = new Map<string, TypedArray>();
    return async (feeds: Sent, fetches: Sent<Tensor | null>): Promise<Record<string, OrtTensor>> => {
      const takeBack = new Map<TypedArray, (back: TypedArray) => void>();
      const send = <T extends Tensor | null>([name, t]: [string, T]): [string, T] => {
        if (!t || !ArrayBuffer.isView(t.data)) return [name, t];
        if (isOwn(t)) {
          const other = takeBack.get(t.data); // Two tensors may be one array.
          takeBack.set(t.data, (back) => {
            other?.(back);
            t.data = back;
          });
          return [name, { dtype: t.dtype, dims: t.dims, data: t.data } as Tensor as T];
        }
        const data = copied(t.data as TypedArray, spare.get(name));
        takeBack.set(data, (back) => spare.set(name, back));
        return [name, { dtype: t.dtype, dims: t.dims, data } as Tensor as T];
      };
      const given = Object.fromEntries(Object.entries(feeds).map(send));
      const wanted = Object.fromEntries(Object.entries(fetches).map(send));
      const lent = [...takeBack.keys()];
      const asked = this.#ask(
        { kind: "run", session, feeds: given, fetches: wanted, lent },
        lent,
        (reply) => {
          for (const [i, take] of [...takeBack.values()].entries()) take(reply.lent[i] as TypedArray);
        },
      );
      return (await asked).outputs ?? {};
    };
  }

  /** Sends a request and waits for the reply; `moved` arrays go along. `always` is called also with a reply that says no. */
  async #ask(ask: Ask, moved: readonly TypedArray[] = [], always?: (reply: Reply) => void): Promise<Reply> {
    const id = ++this.#asked;
    if (this.#died !== undefined) throw this.#died;
    this.#worker.postMessage({ id, ...ask }, [...new Set(moved.map((a) => a.buffer as ArrayBuffer))]);
    const reply = await this.#reply(id);
    always?.(reply);
    const { failed } = reply;
    if (!failed) return reply;
    const cause = new Error(failed.message);
    throw failed.doing === undefined ? cause : runtimeError(this.#name, failed.doing, cause);
  }

  /** The process lives on for as long as there is something to wait for. */
  #reply(id: number): Promise<Reply> {
    this.#worker.ref();
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#worker.unref();
    return waiting;
  }

  #die(cause: unknown): void {
    this.#died ??= cause;
    for (const id of [...this.#waiting.keys()]) this.#settle(id)?.reject(this.#died);
  }
}

const [free, busy, closed] = [0, 1, 2];

/** What the end of the process waits at most; a worker that has died answers no more. */
const lastCallMs = 60_000;

/** Waits until the worker is in no call of ONNX Runtime, and lets it begin no other: such a call must not lose its thread. */
function closeGate(gate: Int32Array): void {
  while (Atomics.compareExchange(gate, 0, free, closed) === busy)
    if (Atomics.wait(gate, 0, busy, lastCallMs) === "timed-out") return;
}

/** Whether a tensor's memory may be sent away for the time of a run. */
export function isOwn(t: Tensor): t is OwnTensor {
  return t instanceof OwnTensor && isWhole(t.data);
}

const isWhole = (array: TypedArray): boolean => array.byteLength === array.buffer.byteLength;

function copied(data: TypedArray, into?: TypedArray): TypedArray {
  if (into?.length !== data.length || into.constructor !== data.constructor)
    return Float32Array.prototype.slice.call(data); // Of any typed array; that of a Buffer would be a view.
  into.set(data as never);
  return into;
}
