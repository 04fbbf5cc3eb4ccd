// On which axis of a model's inputs its samples lie: mostly the first, the second of an LSTM's state, none of what belongs to the
// call (a sampling rate, scales). Read from the dimensions that the model leaves open.
import type { ValueInfo } from "../base/value-info.ts";

/** undefined: on none; "unclear": several may be meant. */
export type InputAxis = number | undefined | "unclear";

/** Of each input, in their order. */
export function batchAxesOf(inputs: readonly ValueInfo[]): InputAxis[] {
  const isOpen = (d: number | string): boolean => typeof d === "string";
  const first = inputs[0]?.dims[0];
  // Sizes of an image may be open where the batch is not.
  if (!inputs.some((i) => i.dims.length > 0 && isOpen(i.dims[0] as number | string)))
    if (typeof first === "number")
      return inputs.map((i) => (i.dims.length > 0 && i.dims[0] === first ? 0 : undefined));
  const symbol = batchSymbol(inputs);
  return inputs.map(({ dims }) => {
    const named = symbol === undefined ? -1 : dims.indexOf(symbol);
    if (named >= 0) return named;
    if (dims.length > 0 && isOpen(dims[0] as number | string)) return 0;
    const open = dims.flatMap((d, axis) => (isOpen(d) ? [axis] : []));
    return open.length > 1 ? "unclear" : open[0];
  });
}

const named = /^(n|b|bs|bsz|nbatch|batch|.*batch.?size|.*_batch|batch_.*)$/i;

/** The name that the model gives to the number of samples; of several the one that begins most inputs. */
function batchSymbol(inputs: readonly ValueInfo[]): string | undefined {
  const names = inputs.flatMap((i) => i.dims.filter((d): d is string => typeof d === "string" && d !== "?"));
  const telling = [...new Set(names.filter((d) => named.test(d)))];
  if (telling.length === 1) return telling[0];
  const beginning = inputs.map((i) => i.dims[0]).filter((d) => typeof d === "string" && d !== "?");
  const count = (d: unknown): number => beginning.filter((b) => b === d).length;
  return (beginning as string[]).toSorted((a, b) => count(b) - count(a))[0];
}
