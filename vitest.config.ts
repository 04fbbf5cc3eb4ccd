import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    reporters: ["default", "./test/totals-reporter.ts"],
    // ONNX Runtime's native library is not built for worker threads being torn down mid-run.
    pool: "forks",
    maxWorkers: 2,
  },
});
