import type { OpDefinition } from "./define.ts";

export const elementwiseOps: readonly OpDefinition[] = [];
