// Passes over the training images in the demo: apart from the rest of the recipe, because help tells it, and help
// must not load models.
export const demoEpochs = 12;
