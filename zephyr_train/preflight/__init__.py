"""From the command line to a job: inputs, options, machine, faults."""
