"""What can be wrong with a board or a rule, found without running anything."""
