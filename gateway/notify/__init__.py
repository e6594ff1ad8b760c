"""Ways to tell people what they should know."""
