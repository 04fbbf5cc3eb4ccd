// Builds src/strategies/columns/columns-wasm.ts from columns.wat beside it.
//
//   npx tsx scripts/columns-wasm.ts
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import wabt from "wabt";

const room = new URL("../src/strategies/columns/", import.meta.url);
export const columnsWasmPath = fileURLToPath(new URL("columns-wasm.ts", room));

/** The text of columns-wasm.ts. */
export async function columnsWasm(): Promise<string> {
  const { parseWat } = await wabt();
  const module = parseWat("columns.wat", readFileSync(new URL("columns.wat", room), "utf8"));
  module.validate();
  const base64 = Buffer.from(module.toBinary({}).buffer).toString("base64");
  module.destroy();
  return [
    "// Written by scripts/columns-wasm.ts from columns.wat.",
    "",
    "/** The module, in base64. */",
    "export const columnsWasm =",
    ...(base64.match(/.{1,100}/g) ?? []).map(
      (line, i, lines) => `  "${line}"${i < lines.length - 1 ? " +" : ";"}`,
    ),
    "",
  ].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(columnsWasmPath, await columnsWasm());
