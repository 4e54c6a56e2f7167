"""Planning for many Collectors: a simulation of agents, and sizes from measured costs."""
