import { expect, it } from "vitest";
import { termTitle } from "../../src/report/term-titles.ts";

it.each([
  ["loss", "Total loss"],
  ["loss/hard", "Hard loss: against the labels"],
  ["loss/soft-2", "Soft loss: against the teacher’s outputs (2)"],
  ["loss/non-target", "Non-target loss: the other classes among themselves"],
  ["loss/selectivity/features", "Selectivity loss at features"],
  ["loss/nst//layer3/relu", "Selectivity transfer (NST) at /layer3/relu"],
  ["loss/mine/soft", "mine: Soft loss: against the teacher’s outputs"],
  ["loss/both/early/cka/stage-2", "both/early: Kernel alignment (CKA) at stage-2"],
  ["loss/squares", "loss/squares"],
  ["loss/nst", "loss/nst"],
  ["loss/soft/features", "loss/soft/features"],
  ["loss/__proto__", "loss/__proto__"],
])("%s", (key, title) => {
  expect(termTitle(key)).toBe(title);
});
