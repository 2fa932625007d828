"""What parts cost on this machine: convolutions, normalizations and optimizers measured side by side, in turns."""
