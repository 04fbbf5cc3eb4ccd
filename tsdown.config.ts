import { defineConfig } from "tsdown";

export default defineConfig({
  entry: ["src/index.ts", "src/strategies/index.ts", "src/cli/main.ts", "src/runtime/ort-node-worker.js"],
  format: "esm",
  platform: "node",
  target: "node20",
  dts: true,
  sourcemap: false,
  clean: true,
  unbundle: true,
  // A line for each of hundreds of files would bury what the demo prints.
  report: false,
  outExtensions: () => ({ js: ".js", dts: ".d.ts" }),
});
