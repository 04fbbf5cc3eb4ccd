// Which kernel a matrix goes through.
import { javaScriptKernel } from "./javascript.ts";
import type { Kernel } from "./kernel.ts";
import { webAssemblyKernel } from "./webassembly.ts";

/** For fewer numbers than these, WebAssembly's module is not worth loading. */
export const WORTH_LOADING = 16384;

let plain: Kernel | undefined;
let quick: Kernel | undefined;

/** The kernel for a matrix of `size` numbers, loaded when it is first asked for. */
export function kernelFor(size: number): Kernel {
  if (size < WORTH_LOADING) return (plain ??= javaScriptKernel());
  return (quick ??= webAssemblyKernel() ?? (plain ??= javaScriptKernel()));
}
