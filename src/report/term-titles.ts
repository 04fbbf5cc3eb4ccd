// What a logged term of the loss is called in a report. A name that is not known here is shown as it is logged.

const ofOutputs: Readonly<Record<string, string>> = {
  hard: "Hard loss: against the labels",
  soft: "Soft loss: against the teacher’s outputs",
  target: "Target loss: the target class against the rest",
  "non-target": "Non-target loss: the other classes among themselves",
  "inter-class": "Inter-class loss: correlation over the classes",
  "intra-class": "Intra-class loss: correlation over the samples",
  output: "Loss on outputs, computed on arrays",
  intermediate: "Loss on layers, computed on arrays",
};

const ofLayers: Readonly<Record<string, string>> = {
  selectivity: "Selectivity loss",
  nst: "Selectivity transfer (NST)",
  cka: "Kernel alignment (CKA)",
  sp: "Similarity of samples (SP)",
  at: "Attention transfer (AT)",
  hint: "Hint loss",
  correlation: "Correlation of neurons",
  statistics: "Statistics of neurons",
};

/** `loss/nst/features` -> `Selectivity transfer (NST) at features`; what is named in a sum keeps its name in front. */
export function termTitle(key: string): string {
  if (key === "loss") return "Total loss";
  const parts = key.split("/").slice(1);
  const at = parts.findIndex((p, i) => {
    const kind = withoutCount(p);
    return Object.hasOwn(ofLayers, kind)
      ? i < parts.length - 1
      : Object.hasOwn(ofOutputs, kind) && i === parts.length - 1;
  });
  if (at < 0) return key;
  const kind = withoutCount(parts[at] as string);
  const tap = parts.slice(at + 1).join("/");
  const title = tap === "" ? (ofOutputs[kind] as string) : `${ofLayers[kind]} at ${tap}`;
  const [prefix, count] = [parts.slice(0, at).join("/"), countOf(parts.at(-1) as string)];
  return `${prefix === "" ? "" : `${prefix}: `}${title}${tap === "" && count !== "" ? ` (${count})` : ""}`;
}

/** The second of two equal names in a sum ends in "-2". */
const withoutCount = (name: string): string => name.replace(/-\d+$/, "");
const countOf = (name: string): string => /-(\d+)$/.exec(name)?.[1] ?? "";
