import type { OpDefinition } from "./define.ts";

export const linearOps: readonly OpDefinition[] = [];
