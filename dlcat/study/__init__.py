"""Many runs of one recipe: over axes of it, and over seeds; and what came out, compared."""
