#!/usr/bin/env node
// The executable `onnx-distill`: hands arguments and streams to the program, and its answer to the shell.
import { runCli } from "./program.ts";

// A reader that has seen enough (`onnx-distill inspect model.onnx | head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});
process.exitCode = await runCli(process.argv.slice(2), { stdout: process.stdout, stderr: process.stderr });
