// Runs documented examples: TypeScript as a reader copies it, with `expression; // => value` lines as its promises.
import { transpileModule } from "typescript";
import { expect } from "vitest";

/** The ts blocks of a docstring (`prefix` " * ") or of a Markdown page (""). */
export function tsBlocks(text: string, prefix = ""): string[] {
  const star = prefix.replaceAll("*", "\\*");
  const found = text.matchAll(new RegExp(`^${star}\`\`\`ts\\n([\\s\\S]*?)^${star}\`\`\``, "gm"));
  return [...found].map(([, code]) => (code as string).replace(new RegExp(`^${star.trimEnd()} ?`, "gm"), ""));
}

/** Runs one block, with `api` for what it imports from "onnx-distill" and `given` for what stands around it; how many promises it kept. */
export async function runExample(
  code: string,
  api: object,
  given: Readonly<Record<string, unknown>> = {},
): Promise<number> {
  let promises = 0;
  const body = code
    .replace(/import \{([^}]*)\} from "onnx-distill(?:\/strategies)?";/g, (_, names: string) => {
      const values = names.split(",").filter((n) => n.trim() !== "" && !n.trim().startsWith("type "));
      return `const {${values.join(",")}} = api;`;
    })
    .replace(/^export default /gm, "exported.default = ")
    .replace(/^(.+); \/\/ => (.+)$/gm, (_, expression: string, value: string) => {
      promises++;
      return `expect(${expression}).toEqual(${value});`;
    });
  const { outputText } = transpileModule(body, { compilerOptions: { target: 9, module: 99 } });
  const AsyncFunction = (async () => {}).constructor as new (
    ...args: string[]
  ) => (...args: unknown[]) => Promise<void>;
  const names = Object.keys(given);
  await new AsyncFunction("api", "expect", "exported", ...names, outputText)(
    api,
    expect,
    {},
    ...names.map((n) => given[n]),
  );
  return promises;
}
