"""The exchangeable parts a network is assembled from: convolutions, normalizations, activations."""
