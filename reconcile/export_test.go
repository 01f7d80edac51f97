package reconcile

// Raced says that the race detector watches.
const Raced = raced
