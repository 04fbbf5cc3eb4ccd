// A JavaScript module of the user's: its default export, or what that makes.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { DistillError, type ErrorCode } from "../base/errors.ts";

/**
 * The default export of the module at `path`; if it is a function, what it returns for `args` (a promise is awaited).
 *
 * Errors: `E_FILE` where there is no such file; `code` where the module throws, unless it throws an error of ours.
 */
export async function defaultExport(path: string, code: ErrorCode, ...args: unknown[]): Promise<unknown> {
  const file = resolve(path);
  if (!existsSync(file)) throw new DistillError("E_FILE", `${path}: no such file`);
  try {
    const exported = ((await import(pathToFileURL(file).href)) as { default?: unknown }).default;
    return typeof exported === "function" && !isClass(exported) ? await exported(...args) : await exported;
  } catch (cause) {
    if (cause instanceof DistillError) throw cause;
    throw new DistillError(code, `${path}: the module failed: ${(cause as Error)?.message ?? cause}`, {
      cause,
    });
  }
}

export function isClass(value: unknown): boolean {
  return typeof value === "function" && /^class\b/.test(Function.prototype.toString.call(value));
}
