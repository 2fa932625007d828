"""Looking after what is here and where it comes from: verify, repair, collect, audit the links, check the place."""
