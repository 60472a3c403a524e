"""On what networks are trained: devices, precision, processes, clusters."""
