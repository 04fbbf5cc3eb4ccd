// What the values of an output may be, apart from how they are read: help lists the words.
export const givesNames = ["logits", "probabilities", "log-probabilities"] as const;
export type Gives = (typeof givesNames)[number];
