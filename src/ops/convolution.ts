import type { OpDefinition } from "./define.ts";

export const convolutionOps: readonly OpDefinition[] = [];
